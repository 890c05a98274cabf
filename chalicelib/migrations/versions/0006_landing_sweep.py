"""Adds the state of the sweep of the landing bucket. The state consists of the time from which on the sweep offers
objects, the position of the sweep in the bucket, and the idle loads."""

from alembic import op

revision = "0006"
down_revision = "0005"

# `starts_at`: the sweep offers only versions that S3 stored after the database was created. Otherwise, a new database
# with an old bucket would load everything again. The time of creation is derived from the version of a dataset. A
# version starts with the time at which the database was created, in microseconds, and every change of the table adds
# one (see `changes`). So each change makes the derived time one microsecond too late, and a billion changes make it
# about a quarter of an hour too late. At worst, the sweep ignores an object that arrived in the first minutes of the
# database. `date_trunc` is needed because S3 gives times in whole seconds. `least` is needed because the clock may
# have been ahead when the database was created: `starts_at` would lie in the future, and the sweep would ignore new
# objects.
#
# The same rule works for an upgraded database. Every object whose event arrived has a load, because earlier releases
# never deleted loads. So if an object has no load, its event was lost. The events of the very first objects may have
# been lost, so the time of the first load would be too late for `starts_at`. The time of the upgrade would be too late
# as well: the sweep would ignore the objects whose events were lost under the previous release.
#
# `swept_at` lies in the past, so that the first sweep works like a sweep after an outage, because no sweep ran
# before.
#
# Later releases delete old loads (see recovery.pruning), but never the load of an object that still exists.
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
