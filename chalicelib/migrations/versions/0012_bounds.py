"""Add the right of a token to see rows, the position of the pruning of old loads, and an index of the loads that are no
requests."""

from alembic import op

revision = "0012"
down_revision = "0011"

ROWS_AND_PRUNING = """
ALTER TABLE tokens ADD COLUMN rows boolean NOT NULL DEFAULT false;
ALTER TABLE landing_sweep ADD COLUMN pruned_to bigint NOT NULL DEFAULT 0;
CREATE INDEX loads_kind_id_idx ON loads (kind, id) WHERE kind <> 'api';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(ROWS_AND_PRUNING)
