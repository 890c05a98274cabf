"""The history of loads: one row for each file, request, restore or announced upload, and who may work on it.

It imports `core` and `cloud`. Start with `claims`; how often a load is tried is in `attempts`, what the
API shows in `history`.
"""
