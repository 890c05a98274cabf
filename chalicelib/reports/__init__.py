"""The reports, read from the summary that triggers keep up to date, and the department that a name means.

It imports `core` and `cloud`. Start with `hires`, which declares the reports; `declaration` says what that means.
"""
