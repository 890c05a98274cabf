"""Runs the Alembic migrations. A Lambda function runs them for a stage, and tests run them on their own databases."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config

LOCK = 0x68697265  # the advisory lock that allows one migration of a database at a time


def upgrade(
    database_url: str,
    *,
    tls: str = "verify-full",
    ca: str = "",
    revision: str = "head",
    app_url: str | None = None,
    connections: int = -1,
) -> str:
    """Upgrade the database to `revision`, and return the revision that the database then has. Nothing changes if the
    database already has this revision.

    `database_url` is the URL of the database owner. `tls` and `ca` have the values of the settings DATABASE_TLS and
    DATABASE_CA. `app_url` is the URL with which the functions log in. The role in this URL is created if necessary, and
    gets its rights. The role may have at most `connections` connections at a time; -1 means no limit.
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
    """Return the newest revision, to which `upgrade` brings a database."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head() or "base"


def _config() -> "Config":
    """Return Alembic's configuration. The migrations are in the folder of this file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
