"""Recovers what a crash or an outage has left: objects without a load, loads without a worker, and dead letters. A
schedule starts the sweeps. An operator starts the redrive of dead letters.

The package imports `core`, `cloud`, `loads` and `ingest`. Start with `upkeep` and `landing_sweep`.
"""
