"""Tracks the changes of datasets. A migration that creates the table of a dataset uses this module.

Triggers increase the version of a dataset with every statement that changes at least one row, in the same transaction.
A backup compares the versions that it sees in its snapshot with those of the previous backup, so it misses no change.
The statistics of Postgres would not be enough, because they are some seconds late.
"""

FUNCTION = """
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        -- a statement that matched no row fires its triggers, too
        PERFORM FROM changed LIMIT 1;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    UPDATE dataset_state SET version = version + 1 WHERE dataset = TG_TABLE_NAME;
    RETURN NULL;
END $$;
"""


def track_changes(table: str) -> str:
    """Return SQL that sets the first version of a dataset, and creates the triggers that increase the version.

    The first version is the current time in microseconds, so that two databases almost never have the same version. The
    triggers are ENABLE ALWAYS, because bulk loads run with session_replication_role = replica.
    """
    triggers = (("insert", "NEW"), ("update", "NEW"), ("delete", "OLD"), ("truncate", None))
    statements = [
        "INSERT INTO dataset_state (dataset, version)"
        f" VALUES ('{table}', CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint));"
    ]
    for event, transition in triggers:
        name = f"{table}_note_{event}"
        referencing = f"REFERENCING {transition} TABLE AS changed" if transition else ""
        statements.append(
            f'CREATE TRIGGER {name} AFTER {event.upper()} ON "{table}" {referencing}'
            f" FOR EACH STATEMENT EXECUTE FUNCTION note_change();"
            f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER {name};'
        )
    return "\n".join(statements)


def fill_nulls(table: str, column: str) -> str:
    """Return SQL that stores the default of a column in every row in which the column is NULL."""
    return f'UPDATE "{table}" SET "{column}" = DEFAULT WHERE "{column}" IS NULL'


def require_values(table: str, column: str) -> str:
    """Return SQL that fails if a column is NULL in a row. The error says in how many rows."""
    return f"""
        DO $$
        DECLARE
            missing bigint := (SELECT count(*) FROM "{table}" WHERE "{column}" IS NULL);
        BEGIN
            IF missing > 0 THEN
                RAISE EXCEPTION 'the column {column} of {table} becomes mandatory, but % rows have no value in it:'
                    ' load a file that gives these rows a value, and run the command again. Or give the column a'
                    ' default, delete the file of this migration, and write it again with `make migration`', missing;
            END IF;
        END $$
    """


def forget_dataset(table: str) -> str:
    """Return SQL that deletes the state, the waiting rows and the open rejects of a dataset. Its rows and the history
    of its loads stay."""
    return f"""
        DELETE FROM dataset_state WHERE dataset = '{table}';
        DELETE FROM orphans WHERE dataset = '{table}';
        DELETE FROM open_rejects WHERE dataset = '{table}';
    """
