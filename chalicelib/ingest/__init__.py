"""Loads rows into their tables. This package reads the records of an object or a request, applies the rules, stages and
merges the rows, and reports the rejects.

The package imports `core`, `cloud`, `formats` and `loads`. For files, start with `objects`. This module stages an
object (`at_once` or `resumable`), then completes the load (`completion`). `failures` handles the errors of an attempt.
For requests, start with `rows`. `rejects` defines a reject and counts reasons. `reject_files` writes and reads reject
files, and `reject_summary` makes a summary of them for the API.
"""
