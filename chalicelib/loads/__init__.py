"""Keeps the history of loads and the claims of workers. The history has one row for each file, request, restore or
announced upload.

This package imports `core` and `cloud`. Start with `claims`. The module `outcomes` has the statuses and counts of
loads, `attempts` the number of attempts, and `history` the queries for the API.
"""
