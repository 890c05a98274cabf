"""Adds the reasons of a load's rejects with their counts, and the correlation id of the request that caused the
load."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE loads ADD COLUMN reasons jsonb NOT NULL DEFAULT '[]', ADD COLUMN correlation_id text")
