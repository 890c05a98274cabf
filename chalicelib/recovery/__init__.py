"""Recovery after a crash: objects without a load, loads without a worker, and dead letters. Schedules start most of it,
an operator starts the redrive.

The package imports `core`, `cloud`, `loads` and `ingest`. Start with `upkeep` and `landing_sweep`.
"""
