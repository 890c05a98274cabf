"""Gives the database role of the functions its login, and limits its connections.

A role logs in with a password or with an IAM token. On RDS, the members of the role `rds_iam` log in with a token, and
RDS refuses their passwords.

The database owner need not be a superuser. Such an owner may change only roles that it administers. For example, it may
not change a role that a superuser created. Every change is therefore tried, and afterwards the state of the role is
compared with the wanted state.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, text

from chalicelib.core.errors import ConfigurationError
from chalicelib.migrations.limits import Limits

IAM = "rds_iam"
_END = " PASSWORD "


@dataclass(frozen=True)
class Login:
    """The login of a role. An empty password stands for logins with IAM tokens. `works` tries to log in with the
    password, and returns whether this succeeded. `works` raises DatabaseUnavailable if the database cannot be
    reached."""

    role: str
    password: str = field(repr=False)
    works: Callable[[], bool]

    @classmethod
    def of(cls, url: str, works: Callable[[], bool]) -> "Login":
        """Return the login of a URL."""
        parts = urlsplit(url)
        return cls(unquote(parts.username or ""), unquote(parts.password or ""), works)

    @property
    def has_token(self) -> bool:
        return not self.password


@dataclass(frozen=True)
class _State:
    connections: int
    config: frozenset[str]  # for example idle_session_timeout=2min
    surplus: str  # the rights of the role that the functions do not need, for example "SUPERUSER"
    has_token: bool


def give(connection: Connection, login: Login, limits: Limits) -> list[str]:
    """Give an existing role this login and these limits. Return notes about what the owner may not change.

    Raises ConfigurationError if the functions could not log in.
    """
    if not _tried(connection, f"ALTER ROLE %1$I LOGIN CONNECTION LIMIT {limits.connections}{_END}", login):
        _require_password(connection, login)
    _choose_kind(connection, login)
    # Only a superuser may run a statement with NOSUPERUSER. So the statements name only rights that the role has.
    for right in _state(connection, login.role).surplus.split():
        _tried(connection, f"ALTER ROLE %1$I NO{right}", login)
    for name, value in limits.timeouts.items():
        _tried(connection, f"ALTER ROLE %1$I SET {name} = '{value}'", login)
    # Without this right, a load cannot switch off the triggers that check foreign keys row by row.
    _tried(connection, "GRANT SET ON PARAMETER session_replication_role TO %1$I", login)
    return _notes(_state(connection, login.role), login.role, limits)


# The statement reads its values from configuration parameters such as `hireflow.role`, because DO takes no parameters.
# An error inside EXECUTE would write the statement with the password to the log of Postgres, so the error is caught.
_TRY = text("""
DO $$
DECLARE
    statement text = format(current_setting('hireflow.statement'), current_setting('hireflow.role'));
BEGIN
    IF statement LIKE '% PASSWORD ' THEN
        statement = statement || coalesce(quote_literal(nullif(current_setting('hireflow.password'), '')), 'NULL');
    END IF;
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    PERFORM set_config('hireflow.refused', SQLSTATE, true);
END $$
""")


def _tried(connection: Connection, statement: str, login: Login) -> bool:
    """Run a statement, and return whether it succeeded. `%1$I` in the statement stands for the role. The password is
    added to a statement that ends in PASSWORD. Nothing changes if the statement fails."""
    password = login.password if statement.endswith(_END) else ""
    values = {"role": login.role, "password": password, "statement": statement, "refused": ""}
    for name, value in values.items():
        connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": f"hireflow.{name}", "value": value})
    connection.execute(_TRY)
    return not connection.scalar(text("SELECT current_setting('hireflow.refused')"))


def _require_password(connection: Connection, login: Login) -> None:
    """Raise ConfigurationError if the role cannot log in with its password. A role with a token needs no password."""
    if login.has_token or login.works():
        return
    owner = connection.scalar(text("SELECT current_user"))
    raise ConfigurationError(
        f"the database role {login.role} of the functions has another password, and the database owner {owner} may not"
        f" change it: as the role that created {login.role}, run GRANT {_quoted(connection, login.role)} TO"
        f" {_quoted(connection, owner)} WITH ADMIN OPTION, and check that {owner} has CREATEROLE"
    )


def _choose_kind(connection: Connection, login: Login) -> None:
    """Make the role a member of `rds_iam` if it logs in with a token. Otherwise, end this membership."""
    if _state(connection, login.role).has_token == login.has_token:
        return
    if login.has_token and not connection.scalar(_HAS_IAM, {"iam": IAM}):
        raise ConfigurationError(
            f"the URL of the functions has no password, and this database has no role {IAM} for logins with IAM"
            " tokens: add a password to the URL"
        )
    change = f"GRANT {IAM} TO %1$I" if login.has_token else f"REVOKE {IAM} FROM %1$I"
    _tried(connection, change, login)
    if _state(connection, login.role).has_token != login.has_token:
        command = change.replace("%1$I", _quoted(connection, login.role))
        raise ConfigurationError(
            f"the database owner may not change whether {login.role} logs in with IAM tokens: as a role with the"
            f" ADMIN option on {IAM}, run {command}"
        )


def _state(connection: Connection, role: str) -> _State:
    row = connection.execute(_STATE, {"role": role, "iam": IAM}).one()
    return _State(row.rolconnlimit, frozenset(row.rolconfig or ()), row.surplus, row.has_token)


_HAS_IAM = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :iam)")
_STATE = text("""
SELECT rolconnlimit, rolconfig,
    concat_ws(' ', CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN rolcreaterole THEN 'CREATEROLE' END) AS surplus,
    EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles iam ON iam.oid = m.roleid
        WHERE m.member = r.oid AND iam.rolname = :iam) AS has_token
FROM pg_roles r WHERE rolname = :role
""")


def _notes(state: _State, role: str, limits: Limits) -> list[str]:
    """Return a sentence for each difference between the state of the role and the wanted state."""
    advice = f"the database owner may not change the role {role}"
    notes = []
    if state.connections != limits.connections:
        notes.append(f"the connection limit is {state.connections}, not {limits.connections}: {advice}")
    for name, value in limits.timeouts.items():
        if f"{name}={value}" not in state.config:
            notes.append(f"{name} is not set to {value}: {advice}")
    if state.surplus:
        notes.append(f"the role {role} has the needless rights {state.surplus}: {advice}")
    return notes


def _quoted(connection: Connection, role: str) -> str:
    return str(connection.scalar(text("SELECT quote_ident(:role)"), {"role": role}))
