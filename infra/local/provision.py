"""Prepares a Postgres server for Hireflow: creates the database, its owner and the functions' role.

These roles have no superuser rights.
"""

import re
import secrets
from base64 import urlsafe_b64encode
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import scrypt
from urllib.parse import quote, unquote, urlsplit

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection, identifier, literal

from chalicelib.migrations.limits import Limits
from infra.errors import CloudError

DATABASE = "hireflow"
_FUNCTIONS = "_app"
_MAX_USER = 63 - len(_FUNCTIONS)  # bytes; Postgres truncates longer names


@dataclass(frozen=True)
class Role:
    """A login role of Postgres."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def generated(cls, user: str = "", password: str = "") -> "Role":
        """Return a role with this user and password. The defaults are the user `hireflow` and a random password.

        Raises CloudError for names that Postgres does not allow.
        """
        if user == "postgres" or user.startswith("pg_"):
            raise CloudError(f"HIREFLOW_PG_USER={user} is a name that Postgres reserves: choose another one")
        if len(user.encode()) > _MAX_USER or re.search(r"[\x00-\x1f]", user + password):
            raise CloudError("HIREFLOW_PG_USER or HIREFLOW_PG_PASSWORD is too long or has control characters")
        return cls(user or "hireflow", password or secrets.token_urlsafe(24))

    def of_functions(self) -> "Role":
        """Return the role with which the functions log in. Call this method only on the owner's role.

        Its password is derived from the owner's password, so it need not be stored. The owner's password cannot be
        derived from the functions' password.
        """
        derived = scrypt(self.password.encode(), salt=b"hireflow functions", n=2**14, r=8, p=1, dklen=24)
        return Role(f"{self.user}{_FUNCTIONS}", urlsafe_b64encode(derived).decode())

    def url(self, host: str, port: int, database: str = DATABASE) -> str:
        return (
            f"postgresql+pg8000://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{host}:{port}/{database}"
        )


def connect(url: str, *, timeout: float = 30) -> Connection:
    """Connect without TLS to a server of this machine. `timeout` is in seconds."""
    parts = urlsplit(url)
    return pg8000.native.Connection(
        unquote(parts.username or ""),
        host=parts.hostname or "",
        port=parts.port or 5432,
        database=parts.path.lstrip("/"),
        password=unquote(parts.password or ""),
        ssl_context=False,
        timeout=timeout,
    )


def accepts(url: str) -> bool:
    """Return whether the role in the URL can log in."""
    try:
        connect(url).close()
    except (DatabaseError, InterfaceError, OSError):
        return False
    return True


def is_done(owner_url: str) -> bool:
    """Return whether `create` has completed."""
    return accepts(owner_url) and accepts(functions_url(owner_url))


def revision(owner_url: str) -> str | None:
    """Return the last migration that was applied to a database, None if it is empty or cannot be reached."""
    try:
        with closing(connect(owner_url)) as server:
            return str(server.run("SELECT version_num FROM alembic_version")[0][0])
    except (DatabaseError, InterfaceError, OSError, IndexError):
        return None


def create(superuser_url: str, role: Role) -> None:
    """Create or change the owner, the functions' role and the database. This is idempotent.

    The owner can log in only after the last step. So a login as owner shows `is_done` that all steps are done.
    """
    user = identifier(role.user)
    with closing(connect(superuser_url)) as server:
        # The lock lasts until the connection ends.
        server.run("SELECT pg_advisory_lock(hashtext('hireflow provision'))")
        if not server.run("SELECT FROM pg_roles WHERE rolname = :name", name=role.user):
            server.run(f"CREATE ROLE {user} NOLOGIN")
        owner = server.run("SELECT datdba::regrole::text FROM pg_database WHERE datname = :name", name=DATABASE)
        if not owner:
            server.run(f"CREATE DATABASE {DATABASE} OWNER {user}")
        elif owner[0][0] != user:  # regrole quotes names as identifier() does
            _hand_over(superuser_url, owner[0][0], user)
        functions = role.of_functions()
        if not server.run("SELECT FROM pg_roles WHERE rolname = :name", name=functions.user):
            server.run(f"CREATE ROLE {identifier(functions.user)} NOLOGIN")
        for each in (functions, role):  # the owner comes last: the docstring says why
            name = identifier(each.user)
            # With this right, a large load can check foreign keys as a set instead of row by row. The statement needs
            # Postgres 15 or newer.
            server.run(f"GRANT SET ON PARAMETER session_replication_role TO {name}")
            server.run(f"ALTER ROLE {name} LOGIN NOSUPERUSER PASSWORD {literal(each.password)}")


def limit_connections(superuser_url: str, role: Role, connections: int) -> None:
    """Limit the number of connections of a role, and the time that a connection or a transaction may be idle."""
    name = identifier(role.user)
    with closing(connect(superuser_url)) as server:
        server.run(f"ALTER ROLE {name} CONNECTION LIMIT {connections}")
        for timeout, value in Limits().timeouts.items():
            server.run(f"ALTER ROLE {name} SET {timeout} = {literal(value)}")


def functions_url(owner_url: str) -> str:
    """Return the URL for the functions' role, derived from the owner's URL."""
    parts = urlsplit(owner_url)
    owner = Role(unquote(parts.username or ""), unquote(parts.password or ""))
    return owner.of_functions().url(parts.hostname or "", parts.port or 5432, parts.path.lstrip("/"))


def may_create_roles(url: str) -> bool:
    """Return whether the role in the URL may create the functions' role."""
    with closing(connect(url)) as server:
        [[may]] = server.run("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
    return bool(may)


def _hand_over(superuser_url: str, old: str, new: str) -> None:
    """Make another role the owner of the database and of everything in it."""
    with closing(connect(superuser_url.rpartition("/")[0] + f"/{DATABASE}")) as server:
        if old == "postgres":  # this superuser also owns system objects, which cannot be reassigned
            server.run(f"ALTER DATABASE {DATABASE} OWNER TO {new}")
        else:
            server.run(f"REASSIGN OWNED BY {old} TO {new}")
