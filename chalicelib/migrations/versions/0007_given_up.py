"""Adds the column `given_up` to loads. Until now, only the beginning of a load's error showed that it was given up."""

from alembic import op

revision = "0007"
down_revision = "0006"

# The functions of the previous release run for some minutes after this migration, and do not know the column. The
# trigger sets the column for these functions. When they mark a load as failed, the trigger derives the column from the
# error. When they reopen the load, the trigger clears the column. The functions of this release write the column
# themselves. The next migration that changes `loads` can drop the trigger.
#
# The trigger is ENABLE ALWAYS, because bulk loads run with session_replication_role = replica.
GIVEN_UP = """
ALTER TABLE loads ADD COLUMN given_up boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT loads_given_up_check CHECK (status = 'failed' OR NOT given_up);
UPDATE loads SET given_up = true WHERE status = 'failed' AND starts_with(error, 'gave up');

CREATE FUNCTION note_given_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'failed' THEN
        NEW.given_up := false;
    ELSIF starts_with(NEW.error, 'gave up') THEN
        NEW.given_up := true;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER loads_note_given_up BEFORE UPDATE OF status ON loads
    FOR EACH ROW EXECUTE FUNCTION note_given_up();
ALTER TABLE loads ENABLE ALWAYS TRIGGER loads_note_given_up;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(GIVEN_UP)
