"""Add the outbox: the messages that the relay sends to other services of AWS.

The end of a load writes a message in the transaction of the load. So a load that ends has exactly one message for this
end, and a load that rolls back has none. Loads that ended before this migration get no message.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

# `deployment` has one row. The deployment sets its column, because no function knows the address of the API.
#
# The triggers are deferred, so that they see the load as it is committed: a request stores its rejects after its load.
# Postgres checks the WHEN condition before it queues a deferred trigger, so other changes of a load cost almost
# nothing. The triggers are ENABLE ALWAYS, because bulk loads run with session_replication_role = replica. For some
# minutes after this migration, the Lambda functions of the previous release still run. The triggers work for them, too,
# because the migration grants the right to write to the outbox in the same transaction.
#
# `waiting` is counted as in GET /loads: if several rejected rows with the same id wait, all of them count, although
# `orphans` has only the last one.
OUTBOX = """
CREATE TABLE deployment (api_url text NOT NULL CONSTRAINT deployment_pkey PRIMARY KEY);
INSERT INTO deployment (api_url) VALUES ('');

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
    kind text NOT NULL CONSTRAINT outbox_kind_check
        CHECK (kind IN ('load', 'notice', 'backups', 'invoke')),
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_others_idx ON outbox (kind, id) WHERE kind <> 'load';

CREATE TABLE relay_state (
    holder text NOT NULL CONSTRAINT relay_state_pkey PRIMARY KEY,
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    dead_letters bigint,
    measured_at timestamptz
);
INSERT INTO relay_state (holder) VALUES ('');

CREATE TABLE late_backups (
    noticed boolean CONSTRAINT late_backups_pkey PRIMARY KEY,
    since timestamptz
);
INSERT INTO late_backups (noticed) VALUES (false);

CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    waiting bigint := 0;
BEGIN
    IF NEW.rejected > 0 THEN -- only loads with rejects change between their end and the commit
        SELECT * INTO NEW FROM loads WHERE id = NEW.id;
        waiting := (SELECT coalesce(sum(greatest(1, (SELECT count(*) FROM open_rejects o
            WHERE o.dataset = w.dataset AND o.id = w.id AND o.load_id = w.load_id AND o.waits))), 0)
            FROM orphans w WHERE w.load_id = NEW.id);
    END IF;
    INSERT INTO outbox (kind, body) VALUES ('load', jsonb_build_object(
        'load_id', NEW.id, 'dataset', NEW.dataset, 'source', NEW.source, 'kind', NEW.kind, 'status', NEW.status,
        'received', NEW.received, 'inserted', NEW.inserted, 'updated', NEW.updated, 'unchanged', NEW.unchanged,
        'superseded', NEW.superseded, 'rejected', NEW.rejected, 'waiting', waiting, 'reasons', NEW.reasons,
        'error', NEW.error, 'given_up', NEW.given_up, 'attempts', NEW.attempts, 'restore_point', NEW.restore_point,
        'correlation_id', NEW.correlation_id, 'created_at', NEW.created_at, 'started_at', NEW.started_at,
        'finished_at', NEW.finished_at));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER loads_note_end_insert AFTER INSERT ON loads DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.status IN ('succeeded', 'failed', 'skipped')) EXECUTE FUNCTION note_end();
CREATE CONSTRAINT TRIGGER loads_note_end_update AFTER UPDATE OF status ON loads DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status IN ('succeeded', 'failed', 'skipped') AND NEW.status <> OLD.status)
    EXECUTE FUNCTION note_end();
ALTER TABLE loads ENABLE ALWAYS TRIGGER loads_note_end_insert, ENABLE ALWAYS TRIGGER loads_note_end_update;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(OUTBOX)
