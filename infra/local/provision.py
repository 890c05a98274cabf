"""What a new Postgres server needs before Hireflow can use it: an unprivileged role and its database."""

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

from infra.errors import CloudError

DATABASE = "hireflow"
_FUNCTIONS = "_app"
_MAX_USER = 63 - len(_FUNCTIONS)  # bytes; Postgres cuts longer names


@dataclass(frozen=True)
class Role:
    """A database login."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def generated(cls, user: str = "", password: str = "") -> "Role":
        """A role; what is not given is made up."""
        if user == "postgres" or user.startswith("pg_"):
            raise CloudError(f"HIREFLOW_PG_USER={user} is a name that Postgres keeps for itself")
        if len(user.encode()) > _MAX_USER or re.search(r"[\x00-\x1f]", user + password):
            raise CloudError("HIREFLOW_PG_USER or HIREFLOW_PG_PASSWORD is not usable: too long or control characters")
        return cls(user or "hireflow", password or secrets.token_urlsafe(24))

    def of_functions(self) -> "Role":
        """The role that the functions log in with. Its password follows from ours, but not the other way
        round, so that there is nothing to remember."""
        derived = scrypt(self.password.encode(), salt=b"hireflow functions", n=2**14, r=8, p=1, dklen=24)
        return Role(f"{self.user}{_FUNCTIONS}", urlsafe_b64encode(derived).decode())

    def url(self, host: str, port: int, database: str = DATABASE) -> str:
        return (
            f"postgresql+pg8000://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{host}:{port}/{database}"
        )


def connect(url: str, *, timeout: float = 30) -> Connection:
    """A connection without TLS to a server of this machine; `timeout` is in seconds."""
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
    """Whether the URL's role can log in."""
    try:
        connect(url).close()
    except (DatabaseError, InterfaceError, OSError):
        return False
    return True


def is_done(owner_url: str) -> bool:
    """Whether `create` has been here."""
    return accepts(owner_url) and accepts(functions_url(owner_url))


def revision(owner_url: str) -> str | None:
    """The last migration of a database. None if it is empty or cannot be reached."""
    try:
        with closing(connect(owner_url)) as server:
            return str(server.run("SELECT version_num FROM alembic_version")[0][0])
    except (DatabaseError, InterfaceError, OSError, IndexError):
        return None


def create(superuser_url: str, role: Role) -> None:
    """Create or adapt the owner, the functions' role and the database. Safe to repeat; that both can log in
    means that all was done."""
    user = identifier(role.user)
    with closing(connect(superuser_url)) as server:
        server.run("SELECT pg_advisory_lock(hashtext('hireflow provision'))")  # one at a time, until we disconnect
        if not server.run("SELECT FROM pg_roles WHERE rolname = :name", name=role.user):
            server.run(f"CREATE ROLE {user} NOLOGIN")
        owner = server.run("SELECT datdba::regrole::text FROM pg_database WHERE datname = :name", name=DATABASE)
        if not owner:
            server.run(f"CREATE DATABASE {DATABASE} OWNER {user}")
        elif owner[0][0] != user:  # regrole quotes as identifier() does
            _hand_over(superuser_url, owner[0][0], user)
        functions = role.of_functions()
        if not server.run("SELECT FROM pg_roles WHERE rolname = :name", name=functions.user):
            server.run(f"CREATE ROLE {identifier(functions.user)} NOLOGIN")
        for each in (functions, role):  # the owner last: see above
            name = identifier(each.user)
            # Lets a bulk load check its foreign keys as a set instead of row by row; grantable since Postgres 15.
            server.run(f"GRANT SET ON PARAMETER session_replication_role TO {name}")
            server.run(f"ALTER ROLE {name} LOGIN NOSUPERUSER PASSWORD {literal(each.password)}")


def limit_connections(superuser_url: str, role: Role, connections: int) -> None:
    """Bound how many connections a role may have at a time, and for how long it may have one for nothing."""
    name = identifier(role.user)
    with closing(connect(superuser_url)) as server:
        server.run(f"ALTER ROLE {name} CONNECTION LIMIT {connections}")
        server.run(f"ALTER ROLE {name} SET idle_session_timeout = '2min'")


def functions_url(owner_url: str) -> str:
    """The URL of the functions' role, for that of the owner."""
    parts = urlsplit(owner_url)
    owner = Role(unquote(parts.username or ""), unquote(parts.password or ""))
    return owner.of_functions().url(parts.hostname or "", parts.port or 5432, parts.path.lstrip("/"))


def may_create_roles(url: str) -> bool:
    """Whether the URL's role can make that of the functions."""
    with closing(connect(url)) as server:
        [[may]] = server.run("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
    return bool(may)


def _hand_over(superuser_url: str, old: str, new: str) -> None:
    """Give the database and all in it to another role."""
    with closing(connect(superuser_url.rpartition("/")[0] + f"/{DATABASE}")) as server:
        if old == "postgres":  # a superuser owns system objects too, which cannot be reassigned
            server.run(f"ALTER DATABASE {DATABASE} OWNER TO {new}")
        else:
            server.run(f"REASSIGN OWNED BY {old} TO {new}")
