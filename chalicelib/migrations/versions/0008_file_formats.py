"""Store the formats of files in the history of loads, and allow files with columns that a load ignores.

The lines of a file go to COPY unchanged. Therefore the staging table of a large file needs a column for each field,
also for each ignored field. The previous release still runs for some minutes after this migration. It calls the old
function `staged.prepare`, which creates a table without such columns.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

FORMATS = """
ALTER TABLE loads ADD COLUMN format jsonb, ADD COLUMN notices jsonb NOT NULL DEFAULT '[]',
    DROP CONSTRAINT loads_kind_check,
    ADD CONSTRAINT loads_kind_check CHECK (kind IN ('csv', 'avro', 'xlsx', 'api', 'restore'));
ALTER TABLE staged_loads ADD COLUMN oddities jsonb NOT NULL DEFAULT '{}';
CREATE INDEX orphans_load_id_idx ON orphans (load_id);

CREATE FUNCTION staged.prepare(load bigint, after_line bigint, ignored integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    rows text := 'staged.load_' || load;
    is_new boolean := to_regclass(rows) IS NULL;
BEGIN
    PERFORM staged.prepare(load, after_line);
    IF is_new AND ignored > 0 THEN
        EXECUTE (SELECT format('ALTER TABLE %s %s', rows, string_agg(format('ADD COLUMN ignored_%s text', i), ', '))
            FROM generate_series(1, ignored) i);
    END IF;
END $$;
REVOKE ALL ON FUNCTION staged.prepare(bigint, bigint, integer) FROM PUBLIC;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(FORMATS)
