"""Declares the reports and reads them from the database. Also finds a department by its name. The reports read only a
summary of the hires. Triggers in the database update this summary.

This package imports `core` and `cloud`. Start with `hires`, which declares the reports. `declaration` explains the
parts of a report.
"""
