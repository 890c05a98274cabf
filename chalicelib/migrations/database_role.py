"""The database role of the functions: it owns nothing, and cannot drop, alter, truncate or empty a table.

Granted anew after every migration, so that a new table cannot be forgotten.
"""

from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, text

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError

GRANTS = {
    **dict.fromkeys(DATASETS, "SELECT, INSERT, UPDATE"),
    "loads": "SELECT, INSERT, UPDATE",
    "orphans": "SELECT, INSERT, UPDATE, DELETE",
    "dataset_state": "SELECT, UPDATE",
    "quarterly_hires": "SELECT, INSERT, UPDATE",
    "tokens": "SELECT, INSERT, UPDATE",
    "staged_loads": "SELECT, INSERT, UPDATE",
    "landing_sweep": "SELECT, UPDATE",
    "idle_loads": "SELECT, INSERT, UPDATE, DELETE",
}

# Values come as settings: DO takes no parameters, and a password in the text of a statement may be logged.
_LOGIN = text("""
DO $$
DECLARE
    who text = current_setting('hireflow.role');
    login text = format('LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L CONNECTION LIMIT %s',
        current_setting('hireflow.password'), current_setting('hireflow.connections'));
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = who) THEN
        EXECUTE format('CREATE ROLE %I ', who) || login;
    ELSE
        BEGIN
            EXECUTE format('ALTER ROLE %I ', who) || login;
        EXCEPTION WHEN insufficient_privilege THEN NULL; -- whoever made it keeps its password
        END;
    END IF;
    BEGIN -- a function that is frozen between two events must not keep others out for long
        EXECUTE format('ALTER ROLE %I SET idle_session_timeout = %L', who, '2min');
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    BEGIN
        EXECUTE format('GRANT SET ON PARAMETER session_replication_role TO %I', who);
    EXCEPTION WHEN insufficient_privilege THEN NULL; -- foreign keys are checked row by row then
    END;
END $$
""")


def admit(connection: Connection, app_url: str, connections: int) -> None:
    """See that the role of `app_url` exists and may do what the functions do, with at most `connections`
    at a time. Raises ConfigurationError where there is no such role and we may not make one."""
    parts = urlsplit(app_url)
    role = unquote(parts.username or "")
    if connection.scalar(text("SELECT CAST(:role AS text) = current_user"), {"role": role}):
        return  # the owner itself: a server whose roles are not ours to make
    if not connection.scalar(_MAY_EXIST, {"role": role}):
        raise ConfigurationError("the role of the functions does not exist, and the schema's owner may not create it")
    settings = {"role": role, "password": unquote(parts.password or ""), "connections": str(connections)}
    for name, value in settings.items():
        connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": f"hireflow.{name}", "value": value})
    connection.execute(_LOGIN)
    quoted = connection.scalar(text("SELECT quote_ident(:role)"), {"role": role})
    for table, rights in GRANTS.items():
        connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM {quoted}; GRANT {rights} ON {table} TO {quoted}")
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}")
    # Its functions make and drop the tables in there as their owner.
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA staged TO {quoted}")
    connection.exec_driver_sql(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA staged TO {quoted}")


_MAY_EXIST = text(
    "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)"
    " OR (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user)"
)
