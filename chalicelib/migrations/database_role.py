"""Creates the database role of the Lambda functions, and grants its rights. The role owns nothing. It cannot drop,
alter or truncate a table, and cannot delete rows of a dataset.

The rights are granted again after every migration, so that no new table is left out.
"""

from sqlalchemy import Connection, text

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError
from chalicelib.migrations import role_login
from chalicelib.migrations.limits import Limits
from chalicelib.migrations.role_login import Login

GRANTS = {
    **dict.fromkeys(DATASETS, "SELECT, INSERT, UPDATE"),
    "loads": "SELECT, INSERT, UPDATE, DELETE",
    "orphans": "SELECT, INSERT, UPDATE, DELETE",
    "open_rejects": "SELECT, INSERT, DELETE",
    "database_identity": "SELECT",
    "deployment": "SELECT",
    "outbox": "SELECT, INSERT, UPDATE, DELETE",
    "relay_state": "SELECT, UPDATE",
    "late_backups": "SELECT, UPDATE",
    "dataset_state": "SELECT, UPDATE",
    "quarterly_hires": "SELECT, INSERT, UPDATE",
    "tokens": "SELECT, INSERT, UPDATE",
    "staged_loads": "SELECT, INSERT, UPDATE",
    "landing_sweep": "SELECT, UPDATE",
    "idle_loads": "SELECT, INSERT, UPDATE, DELETE",
}


def admit(connection: Connection, login: Login, limits: Limits) -> list[str]:
    """Create the role of `login` if it does not exist. Then give the role its login, its limits and its rights. Return
    notes about what the database owner may not change. The role of `connection` is the database owner.

    Raises ConfigurationError if the role does not exist and the owner may not create roles, or if the functions could
    not log in with this role.
    """
    if connection.scalar(text("SELECT CAST(:role AS text) = current_user"), {"role": login.role}):
        return []  # the functions log in as the database owner, so there is no other role to create
    quoted = connection.scalar(text("SELECT quote_ident(:role)"), {"role": login.role})
    if not connection.scalar(_EXISTS, {"role": login.role}):
        if not connection.scalar(_MAY_CREATE):
            raise ConfigurationError(
                "the database role of the functions does not exist, and the database owner may not create it:"
                " create the role, or grant CREATEROLE to the database owner"
            )
        connection.exec_driver_sql(f"CREATE ROLE {quoted}")
    notes = role_login.give(connection, login, limits)
    _grant(connection, quoted)
    return notes


def _grant(connection: Connection, role: str) -> None:
    """Grant the rights that the functions need. `role` is quoted."""
    for table, rights in GRANTS.items():
        connection.exec_driver_sql(f'REVOKE ALL ON "{table}" FROM {role}; GRANT {rights} ON "{table}" TO {role}')
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    # The SQL functions of the schema `staged` create and drop the tables of that schema. These functions run with the
    # rights of the database owner.
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA staged TO {role}")
    connection.exec_driver_sql(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA staged TO {role}")


_EXISTS = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)")
_MAY_CREATE = text("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
