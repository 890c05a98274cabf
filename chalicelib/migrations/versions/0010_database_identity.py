"""Give the database an identifier of its own.

Restore points name the database from which they come. Postgres has an identifier for this purpose, but a managed
Postgres may refuse to show it to roles that are no superusers.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

IDENTITY = """
CREATE TABLE database_identity (id uuid CONSTRAINT database_identity_pkey PRIMARY KEY);
INSERT INTO database_identity (id) VALUES (gen_random_uuid());
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(IDENTITY)
