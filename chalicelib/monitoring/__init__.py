"""Readiness checks, gauges (the age of the last backup, dead letters, waiting rows), and metrics.

The package imports `core`, `cloud`, `loads` and `backups`. Start with `readiness`.
"""
