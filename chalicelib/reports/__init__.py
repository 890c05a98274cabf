"""The reports, and the search for a department by its name. Triggers keep up to date the summary that reports read.

This package imports `core` and `cloud`. Start with `hires`, which declares the reports. `declaration` explains the
parts of such a declaration.
"""
