"""Why a load's rows were rejected, by reason, and which request asked for the load."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE loads ADD COLUMN reasons jsonb NOT NULL DEFAULT '[]', ADD COLUMN correlation_id text")
