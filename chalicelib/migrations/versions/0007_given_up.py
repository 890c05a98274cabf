"""Whether a load was given up is a column of its own. Until now, the beginning of its error said so."""

from alembic import op

revision = "0007"
down_revision = "0006"

# The functions of the release before go on for some minutes after this migration. They do not know the column, so the
# trigger keeps it for them: it reads their text where they fail a load, and clears the column where they open it again.
# This release writes the column itself. The trigger can go with the next migration that changes `loads`.
#
# ENABLE ALWAYS, because sessions that load rows work as a replica.
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
