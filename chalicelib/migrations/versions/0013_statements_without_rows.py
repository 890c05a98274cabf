"""Make the summary of hires ignore statements without rows."""

from alembic import op

from chalicelib.migrations.summary import SUM_UP_HIRES

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SUM_UP_HIRES)
