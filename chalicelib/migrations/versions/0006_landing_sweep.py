"""What the sweep remembers: from when on it takes up objects, how far it has come, and which loads stand still."""

from alembic import op

revision = "0006"
down_revision = "0005"

# From when on. Only versions that S3 stored after the database was made are taken up, or a new database beside an old
# bucket would load everything once more. That moment is known: the version of a dataset starts at the clock, in
# microseconds, when its table is made (see `changes`), and grows by one with every change. After a billion changes it
# tells a quarter of an hour too late: at worst an object of the first minutes is left alone. S3 tells whole seconds,
# hence date_trunc. A clock that was ahead at that time must not keep the sweep from its work, hence least.
#
# It is right for a database that is upgraded, too: every object whose event came has a load, and no load has ever been
# deleted, so that an object without one has lost its event. The very first objects may be among them: to begin with the
# first load would leave those out. To begin with the upgrade would leave out what the release before has lost.
#
# The first sweep finds the last one long ago, as after an outage: nobody has looked before.
#
# Whoever prunes loads one day has to keep those whose objects still exist, or to move starts_at behind these.
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
