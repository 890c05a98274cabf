"""The schema of the database and every change of it, run by a function of the stage, or by tests on their databases.

It imports `core`, the roles of `auth`, and `services` for a stage's own database. Start with `schema`, then `migrate`.
"""
