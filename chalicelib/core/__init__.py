"""What everybody may use, without I/O: the declared datasets, the rules of rows, errors with their HTTP statuses,
deadlines, settings, logs, the names of restore points.

It imports nothing else of Hireflow. Start with `datasets`, then `rules`.
"""
