"""Add the right of a token to see rows, the position of the pruning of old loads, and an index of the loads that do
not come from requests. Make the summary of hires faster if nearly every employee has a department, a job and a quarter
of their own."""

from alembic import op

from chalicelib.migrations.summary import SUM_UP_HIRES

revision = "0012"
down_revision = "0011"

ROWS_AND_PRUNING = """
ALTER TABLE tokens ADD COLUMN rows boolean NOT NULL DEFAULT false;
ALTER TABLE landing_sweep ADD COLUMN pruned_to bigint NOT NULL DEFAULT 0;
CREATE INDEX loads_kind_id_idx ON loads (kind, id) WHERE kind <> 'api';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(ROWS_AND_PRUNING)
    op.get_bind().exec_driver_sql(SUM_UP_HIRES)
