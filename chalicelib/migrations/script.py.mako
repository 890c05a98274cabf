"""${about}"""

% if "sa." in upgrades:
import sqlalchemy as sa
% endif
from alembic import op
% if "postgresql." in upgrades:
from sqlalchemy.dialects import postgresql
% endif

% if calls:
from chalicelib.migrations.changes import ${", ".join(calls)}

% endif
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades}
