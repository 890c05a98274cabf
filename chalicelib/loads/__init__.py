"""The history of loads: one row for each file, request, restore or announced upload, and who may work on it.

It imports `core` and `cloud`. Start with `claims`. The statuses of a load and its counts are in `outcomes`,
how often a load is tried in `attempts`, and what the API shows in `history`.
"""
