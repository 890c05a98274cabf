"""Alembic migrations, run by code: a Lambda function in the cloud, the tests on their databases."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config

LOCK = 0x68697265  # advisory lock: one migration of a database at a time


def upgrade(
    database_url: str,
    *,
    tls: str = "verify-full",
    ca: str = "",
    revision: str = "head",
    app_url: str | None = None,
    connections: int = -1,
) -> str:
    """Bring the database to `revision`; returns the revision it is at. Harmless when it is there already.

    `database_url` is that of the schema's owner, `tls` and `ca` as in the settings. `app_url` is that of the
    functions, whose role is made and given its rights, with at most `connections` at a time (-1: any).
    """
    import ssl

    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    context = ssl.create_default_context(cafile=ca or None) if tls == "verify-full" else False
    engine = create_engine(database_url, poolclass=NullPool, connect_args={"ssl_context": context})
    config = _config()
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if app_url is not None:
            from chalicelib.migrations import database_role

            database_role.admit(connection, app_url, connections)
        return MigrationContext.configure(connection).get_current_revision() or "base"


def head() -> str:
    """The revision of a database after `upgrade`."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head() or "base"


def _config() -> "Config":
    """Alembic's, which finds the migrations beside this file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
