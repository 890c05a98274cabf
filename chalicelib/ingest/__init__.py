"""Loads rows into their tables. This package reads, checks, stages and merges the records of an object or a request,
and reports the rejects.

The package imports `core`, `cloud`, `formats` and `loads`. For files, start with `objects`: it stages an object
(`at_once` or `resumable`), then completes the load under its locks (`completion`). `failures` handles the errors. For
requests, start with `rows`. `rejects` defines a reject and counts reasons, `reject_files` writes rejects, and
`reject_summary` reads them for the API.
"""
