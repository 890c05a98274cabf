"""Change tracking, for migrations that make a dataset's table.

A dataset's version grows with every statement that really touched a row, in the same transaction:
a backup compares versions inside its snapshot and misses nothing, which the statistics collector,
lagging by seconds, would.
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
    """SQL that starts the version of a dataset's table and keeps it.

    It starts at the clock, so that two databases practically never share a version. The triggers are
    ENABLE ALWAYS because bulk loads run as a replica.
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
            f"CREATE TRIGGER {name} AFTER {event.upper()} ON {table} {referencing}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION note_change();"
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};"
        )
    return "\n".join(statements)
