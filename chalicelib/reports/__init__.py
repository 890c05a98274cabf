"""Declares the reports and reads them from the database. Also finds a department by its name. The reports read only a
summary of the hires, which triggers in the database keep up to date.

This package imports `core` and `cloud`. Start with `hires`, which declares the reports. `declaration` explains the
parts of a report.
"""
