"""Writes migrations: `make migration NAME=…` compares the declared datasets with the migrations so far, and writes the
next migration.

Start with `command`. `comparison` finds the differences, `steps` decides which of them a migration may make, and
`script` writes the file.
"""
