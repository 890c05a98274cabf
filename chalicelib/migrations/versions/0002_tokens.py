"""Creates the table of tokens. Each token has a role."""

from alembic import op

revision = "0002"
down_revision = "0001"

TOKENS = """
CREATE TABLE tokens (
    id text CONSTRAINT tokens_pkey PRIMARY KEY,
    role text NOT NULL CONSTRAINT tokens_role_check CHECK (role IN ('reader', 'writer', 'operator')),
    note text NOT NULL DEFAULT '',
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TOKENS)
