"""Restore points: Avro files of all datasets from one snapshot, how they are verified, expire, and are restored.

It imports `core`, `cloud`, `formats` and `loads`. Start with `run`. Where files lie is in `manifest`, how a
restore point is named in `core.restore_point_names`. How long one lives is a setting, BACKUP_RETENTION_DAYS.
"""
