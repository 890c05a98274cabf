"""Alembic's environment. The caller passes the connection, on which a transaction is open."""

from alembic import context

from chalicelib.migrations.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
