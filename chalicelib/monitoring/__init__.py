"""Whether the service is ready, how large its queues are, how old its last backup is, and the metrics.

The package imports `core`, `cloud`, `loads` and `backups`. Start with `readiness`.
"""
