"""What schedules and people put right after a crash: objects without a load, loads without a worker, dead letters.

It imports `core`, `cloud`, `loads` and `ingest`. Start with `upkeep` and `landing_sweep`.
"""
