"""Creates the database role of the Lambda functions, and grants its rights. The role owns nothing. It cannot drop,
alter or truncate a table, and cannot delete rows of a dataset.

The rights are granted again after every migration, so that no new table is left out.
"""

from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, text

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError

GRANTS = {
    **dict.fromkeys(DATASETS, "SELECT, INSERT, UPDATE"),
    "loads": "SELECT, INSERT, UPDATE",
    "orphans": "SELECT, INSERT, UPDATE, DELETE",
    "open_rejects": "SELECT, INSERT, DELETE",
    "database_identity": "SELECT",
    "deployment": "SELECT",
    "outbox": "SELECT, INSERT, DELETE",
    "relay_state": "SELECT, UPDATE",
    "late_backups": "SELECT, UPDATE",
    "dataset_state": "SELECT, UPDATE",
    "quarterly_hires": "SELECT, INSERT, UPDATE",
    "tokens": "SELECT, INSERT, UPDATE",
    "staged_loads": "SELECT, INSERT, UPDATE",
    "landing_sweep": "SELECT, UPDATE",
    "idle_loads": "SELECT, INSERT, UPDATE, DELETE",
}

# The statement reads its values from configuration parameters such as `hireflow.role`, because DO takes no parameters.
# If the password were in the text of the statement, Postgres might log it.
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
        EXCEPTION WHEN insufficient_privilege THEN NULL; -- another role created this role: the password does not change
        END;
    END IF;
    BEGIN -- Lambda freezes a function between two events: its idle connection must end, so that others can connect
        EXECUTE format('ALTER ROLE %I SET idle_session_timeout = %L', who, '2min');
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    BEGIN
        EXECUTE format('GRANT SET ON PARAMETER session_replication_role TO %I', who);
    EXCEPTION WHEN insufficient_privilege THEN NULL; -- without this right, foreign keys are checked row by row
    END;
END $$
""")


def admit(connection: Connection, app_url: str, connections: int) -> None:
    """Create the role of `app_url` if the role does not exist, and grant the rights that the functions need. The role
    may have at most `connections` connections at a time. Raises ConfigurationError if the role does not exist and the
    role of `connection` may not create roles."""
    parts = urlsplit(app_url)
    role = unquote(parts.username or "")
    if connection.scalar(text("SELECT CAST(:role AS text) = current_user"), {"role": role}):
        return  # the functions log in as the database owner, so there is no other role to create
    if not connection.scalar(_MAY_EXIST, {"role": role}):
        raise ConfigurationError(
            "the database role of the functions does not exist, and the database owner may not create it:"
            " create the role, or grant CREATEROLE to the database owner"
        )
    settings = {"role": role, "password": unquote(parts.password or ""), "connections": str(connections)}
    for name, value in settings.items():
        connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": f"hireflow.{name}", "value": value})
    connection.execute(_LOGIN)
    quoted = connection.scalar(text("SELECT quote_ident(:role)"), {"role": role})
    for table, rights in GRANTS.items():
        connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM {quoted}; GRANT {rights} ON {table} TO {quoted}")
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}")
    # The SQL functions of the schema `staged` create and drop the tables of that schema. These functions run with the
    # rights of the database owner.
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA staged TO {quoted}")
    connection.exec_driver_sql(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA staged TO {quoted}")


_MAY_EXIST = text(
    "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)"
    " OR (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user)"
)
