"""The history of loads, with one row for each file, request, restore or announced upload, and the claims of workers.

This package imports `core` and `cloud`. Start with `claims`. The module `outcomes` has the statuses and counts of
loads, `attempts` the number of attempts, and `history` the queries for the API.
"""
