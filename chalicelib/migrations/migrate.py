"""Runs the Alembic migrations. A Lambda function runs them for a stage, and tests run them on their own databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError, DatabaseUnavailable
from chalicelib.migrations import shape

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

VERSIONS = Path(__file__).parent / "versions"
_REFUSED = "28"  # the SQLSTATEs for a wrong user or password begin with these characters
_RAISED = "P0001"  # the SQLSTATE of RAISE EXCEPTION
# The words that Postgres reserves, and that SQLAlchemy does not quote.
_UNQUOTED = ("collation", "concurrently", "lateral", "system_user", "tablesample")
LOCK = 0x68697265  # the advisory lock that allows one migration of a database at a time


@dataclass(frozen=True)
class Migrated:
    """The revision that a database has after a migration, and notes about what the database owner may not change."""

    revision: str
    notes: tuple[str, ...] = ()


def upgrade(
    database_url: str,
    *,
    tls: str = "verify-full",
    ca: str = "",
    revision: str = "head",
    app_url: str | None = None,
    connections: int = -1,
    api_url: str = "",
) -> Migrated:
    """Upgrade the database to `revision`. The tables do not change if the database already has this revision. They do
    not change, either, if it has the revision of a later release, because somebody goes back to this release.

    `database_url` is the URL of the database owner. `tls` and `ca` have the values of the settings DATABASE_TLS and
    DATABASE_CA. `app_url` is the URL with which the functions log in. The role in this URL is created if necessary, and
    gets its login and its rights. Without a password in the URL, the functions log in with IAM tokens. The role may
    have at most `connections` connections at a time; -1 means no limit. `api_url` is the URL of the API, which is
    stored for the links in events and notices.

    Raises ConfigurationError if the tables of the newest revision differ from the declared datasets, if a migration
    cannot migrate the rows, or if the functions could not log in afterwards. In all cases, nothing changes. Raises
    DatabaseUnavailable if a login of the functions could not be tried.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import text

    configuration = config()
    notes: list[str] = []
    with engine(database_url, tls, ca).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        configuration.attributes["connection"] = connection
        if later := _later_revision(connection):
            notes.append(f"the database has the revision {later} of a later release, so its tables stay as they are")
        else:
            with explained():
                command.upgrade(configuration, revision)
        if revision == "head":
            shape.require_tables(DATASETS, connection, later=later or "")
        if app_url is not None:
            from chalicelib.migrations import database_role
            from chalicelib.migrations.limits import Limits
            from chalicelib.migrations.role_login import Login

            login = Login.of(app_url, lambda: _accepts(engine(app_url, tls, ca)))
            notes += database_role.admit(connection, login, Limits(connections))
        if api_url:
            connection.execute(text("UPDATE deployment SET api_url = :url"), {"url": api_url})
        return Migrated(MigrationContext.configure(connection).get_current_revision() or "base", tuple(notes))


def _later_revision(connection: "Connection") -> str | None:
    """Return the revision of the database if a later release has migrated the database, else None."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    return current if current and current not in known and current > max(known) else None


@contextmanager
def explained() -> Iterator[None]:
    """Raise ConfigurationError with the message of an exception that the SQL of a migration raises (RAISE EXCEPTION)
    because it cannot migrate the rows."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        if _fields(error).get("C") == _RAISED:
            raise ConfigurationError(_fields(error)["M"]) from None
        raise


def engine(database_url: str, tls: str, ca: str = "") -> "Engine":
    """Return an engine that closes every connection after its use. `tls` and `ca` are as in `upgrade`."""
    import ssl

    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    context = ssl.create_default_context(cafile=ca or None) if tls == "verify-full" else False
    made = create_engine(database_url, poolclass=NullPool, connect_args={"ssl_context": context})
    quoting = made.dialect.identifier_preparer
    quoting.reserved_words = {*quoting.reserved_words, *_UNQUOTED}
    return made


def _accepts(engine: "Engine") -> bool:
    """Return whether the database accepts the user and the password of `engine`. Raises DatabaseUnavailable if the
    login fails for another reason."""
    from sqlalchemy.exc import DBAPIError

    try:
        engine.connect().close()
    except DBAPIError as error:
        if _fields(error).get("C", "").startswith(_REFUSED):
            return False
        raise DatabaseUnavailable("the login of the functions could not be tried") from None
    return True


def _fields(error: "DBAPIError") -> dict[str, str]:
    """Return the fields of Postgres's error message: C is the SQLSTATE, M is the message."""
    fields = error.orig.args[0] if error.orig and error.orig.args else None
    return fields if isinstance(fields, dict) else {}


def check_datasets(versions: Path = VERSIONS) -> None:
    """Check without a database that each migration follows another one, and that they add every dataset and column.
    Raises ConfigurationError."""
    shape.require_one_line(versions)
    shape.require_migrations(DATASETS, versions)


def head() -> str:
    """Return the newest revision, to which `upgrade` brings a database."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(config()).get_current_head() or "base"


def config() -> "Config":
    """Return Alembic's configuration. The migrations are in the folder of this file."""
    from alembic.config import Config

    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    found.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return found
