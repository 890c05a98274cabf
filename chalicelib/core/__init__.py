"""Holds what every other package may use: the declared datasets, the rules for rows, errors with their HTTP statuses,
deadlines, settings, logs, and the names of restore points.

This package does no I/O and imports no other package of Hireflow. Start with `datasets`, then read `rules`.
"""
