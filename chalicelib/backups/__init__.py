"""Makes, verifies, expires and restores restore points. A restore point holds Avro files of all datasets, read from one
snapshot.

This package imports `core`, `cloud`, `formats` and `loads`. Start with `run`. `manifest` says where the files of
a restore point are, and `core.restore_point_names` says how a restore point is named. The setting BACKUP_RETENTION_DAYS
says how long a restore point is kept.
"""
