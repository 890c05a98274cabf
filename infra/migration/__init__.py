"""Writes migrations: `make migration NAME=…` compares the declared datasets with the migrations so far, and writes the
next migration.

Start with `command`. `chalicelib.migrations.comparison` finds the differences, `steps` decides which of them a
migration may remove, and `script` writes the file.
"""
