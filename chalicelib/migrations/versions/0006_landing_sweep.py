"""Adds the state of the sweep of the landing bucket. The state consists of the time from which on the sweep offers
objects, the position of the sweep in the bucket, and the idle loads."""

from alembic import op

revision = "0006"
down_revision = "0005"

# `starts_at`: the sweep offers only versions that S3 stored after the database was created. Otherwise, a new database
# with an old bucket would load everything again. The time of creation can be derived: when the table of a dataset is
# created, its version starts as the time in microseconds (see `changes`), and every change adds one. After a billion
# changes, the derived time is about a quarter of an hour late. The worst result is that the sweep ignores an object of
# the first minutes. `date_trunc` is needed because S3 gives times in whole seconds. `least` is needed because the clock
# may have been ahead: without `least`, the sweep would then ignore new objects.
#
# The same rule is right for an upgraded database. Every object whose event arrived has a load, and loads are never
# deleted. Therefore the event of an object without a load was lost. This may have happened to the very first objects,
# so `starts_at` cannot be the time of the first load. `starts_at` cannot be the time of the upgrade either: the sweep
# would then ignore the objects whose events were lost under the previous release.
#
# `swept_at` lies in the past, so that the first sweep works like a sweep after an outage, because no sweep ran before.
#
# If loads are ever deleted, keep the loads whose objects still exist, or set `starts_at` to a time after these objects.
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
