"""Runs the migrations. Alembic executes this file. The caller passes a connection on which a transaction is open."""

from alembic import context

from chalicelib.migrations.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
