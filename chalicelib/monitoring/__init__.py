"""Checks whether the service is ready, reads gauges, and writes metrics. Gauges are values that are read at a moment,
for example the age of the last backup.

The package imports `core`, `cloud`, `loads` and `backups`. Start with `readiness`.
"""
