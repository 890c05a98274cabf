"""When a load was last queued: a redrive may queue an old one again."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE loads ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now()")
