"""The schema of the database, and its migrations. A Lambda function of the stage runs the migrations. Tests run them on
their own databases.

The package imports `core`, the roles of `auth`, and `services` for the database of a stage. Start with `schema`, then
`migrate`.
"""
