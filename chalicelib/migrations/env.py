"""Alembic's environment: the connection is handed in, with a transaction open on it."""

from alembic import context

from chalicelib.migrations.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
