"""Declares the schema of the database, and migrates databases to it. A Lambda function of the stage runs the
migrations. Tests run them on their own databases.

The package imports `core`, the roles of `auth`, and `services` for the database URL of a stage. Start with `schema`,
then read `migrate`.
"""
