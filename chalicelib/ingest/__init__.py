"""A row's way into its table: an object or a request is read, checked, staged and merged, and rejects are reported.

It imports `core`, `cloud`, `formats` and `loads`. Start with `objects` for files and with `rows` for requests.
"""
