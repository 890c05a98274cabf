"""A row's way into its table: an object or a request is read, checked, staged and merged, and rejects are reported.

It imports `core`, `cloud`, `formats` and `loads`. Start with `objects` for files: it stages (`at_once` or `resumable`),
then completes the load under its locks (`completion`), and what goes wrong is up to `failures`. Start with `rows` for
requests. `rejects` says what a reject is and counts reasons, `reject_files` writes them, `reject_summary` reads them
for the API.
"""
