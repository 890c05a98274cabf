"""What the landing sweep remembers: from which time on it offers objects, how far it has come, and which
loads are idle."""

from alembic import op

revision = "0006"
down_revision = "0005"

# starts_at: the sweep offers only versions that S3 stored after the database was created. Otherwise a new database
# beside an old bucket would load everything again. The time of creation is known: when a dataset's table is created,
# its version starts as the time in microseconds (see `changes`), and every change adds one. After a billion changes
# that time is a quarter of an hour late: at worst an object of the first minutes is left alone. date_trunc, because S3
# gives times in whole seconds. least, because the clock may have been ahead, and then the sweep would ignore new
# objects.
#
# The same is right for an upgraded database: every object whose event came has a load, and loads are never deleted, so
# an object without a load has lost its event. This may be true of the very first objects, so starts_at cannot be the
# time of the first load. Nor can it be the time of the upgrade: that would leave out what the earlier release has lost.
#
# swept_at lies in the past, so that the first sweep works as after an outage: there was no sweep before it.
#
# If loads are ever pruned, keep those whose objects still exist, or move starts_at past these objects.
SWEEP = """
CREATE TABLE landing_sweep (
    starts_at timestamptz CONSTRAINT landing_sweep_pkey PRIMARY KEY,
    swept_at timestamptz NOT NULL,
    key_marker text NOT NULL DEFAULT '',
    version_marker text NOT NULL DEFAULT ''
);
INSERT INTO landing_sweep (starts_at, swept_at)
SELECT date_trunc('second', least(now(), to_timestamp(min(version) / 1000000.0))), now() - interval '15 minutes'
FROM dataset_state;

CREATE TABLE idle_loads (
    load_id bigint CONSTRAINT idle_loads_pkey PRIMARY KEY
        CONSTRAINT idle_loads_load_id_fkey REFERENCES loads (id) ON DELETE CASCADE,
    attempts integer NOT NULL,
    handovers integer NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SWEEP)
