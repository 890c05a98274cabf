"""Whether the service is ready, how full and how old its parts are, and the metrics made of that.

It imports `core`, `cloud`, `loads` and `backups`. Start with `readiness`.
"""
