"""Restore points: how they are made, verified, expired and restored. Each holds Avro files of all datasets, taken from
one snapshot.

This package imports `core`, `cloud`, `formats` and `loads`. Start with `run`. `manifest` says where the files lie, and
`core.restore_point_names` how a restore point is named. The setting BACKUP_RETENTION_DAYS says how long it is kept.
"""
