"""Adds staging tables for the loads of large objects. These tables outlive a connection, so that another invocation can
continue the load. The table `staged_loads` has the progress of these loads.

The database role of the Lambda functions may neither create nor drop a table. Instead, it calls SQL functions that run
with the rights of the database owner. Their only parameters are the id of a load and a line number. The functions
do not change a load that another session works on.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

STAGED = """
ALTER TABLE loads ADD COLUMN handovers integer NOT NULL DEFAULT 0;
CREATE TABLE staged_loads (
    load_id bigint CONSTRAINT staged_loads_pkey PRIMARY KEY
        CONSTRAINT staged_loads_load_id_fkey REFERENCES loads (id) ON DELETE CASCADE,
    etag text NOT NULL,
    bytes bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL DEFAULT 0,
    received bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    reasons jsonb NOT NULL DEFAULT '{}',
    seconds double precision NOT NULL DEFAULT 0,
    complete boolean NOT NULL DEFAULT false
);
CREATE SCHEMA staged;

CREATE FUNCTION staged.prepare(load bigint, after_line bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    of_dataset text := (SELECT l.dataset FROM public.loads l JOIN public.dataset_state d ON d.dataset = l.dataset
        JOIN public.staged_loads s ON s.load_id = l.id WHERE l.id = load AND l.status = 'running');
    rows text := 'staged.load_' || load;
    rejects text := 'staged.rejects_' || load;
BEGIN
    IF of_dataset IS NULL OR NOT pg_try_advisory_xact_lock(load) THEN
        RAISE EXCEPTION 'load % cannot be staged', load USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF to_regclass(rows) IS NULL THEN
        -- not LIKE, which would copy NOT NULL: a line without a valid row is a row of NULLs
        EXECUTE format('CREATE UNLOGGED TABLE %s AS SELECT * FROM public.%I WITH NO DATA', rows, of_dataset);
        EXECUTE format('ALTER TABLE %s ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000)', rows);
        EXECUTE format('CREATE UNLOGGED TABLE %s (after_line bigint PRIMARY KEY, lines bytea NOT NULL)', rejects);
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON %s TO %I', rows, session_user);
        EXECUTE format('GRANT SELECT, INSERT ON %s TO %I', rejects, session_user);
    END IF;
    -- whatever a portion that was not committed, or another session, took of the numbers
    PERFORM setval(pg_get_serial_sequence(rows, 'seq')::regclass, after_line + 1, false);
END $$;

CREATE FUNCTION staged.settle(load bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET default_statistics_target = 10 AS $$
BEGIN
    EXECUTE format('ANALYZE %s', 'staged.load_' || load);
END $$;

CREATE FUNCTION staged.discard(load bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(load) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %s, %s', 'staged.load_' || load, 'staged.rejects_' || load);
    DELETE FROM public.staged_loads WHERE load_id = load;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION staged.prepare, staged.settle, staged.discard FROM PUBLIC;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STAGED)
