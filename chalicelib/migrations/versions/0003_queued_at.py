"""Adds the time at which a load was last queued. A redrive may queue an old load again."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE loads ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now()")
