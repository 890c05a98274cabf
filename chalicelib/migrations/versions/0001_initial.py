"""Creates the three datasets, the load history, and the summary that the reports read."""

from alembic import op

from chalicelib.migrations.changes import FUNCTION, track_changes

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE departments (
    id integer CONSTRAINT departments_pkey PRIMARY KEY,
    department text NOT NULL
);
CREATE TABLE jobs (
    id integer CONSTRAINT jobs_pkey PRIMARY KEY,
    job text NOT NULL
);
CREATE TABLE hired_employees (
    id integer CONSTRAINT hired_employees_pkey PRIMARY KEY,
    name text NOT NULL,
    datetime timestamptz NOT NULL,
    department_id integer NOT NULL CONSTRAINT hired_employees_department_id_fkey REFERENCES departments (id),
    job_id integer NOT NULL CONSTRAINT hired_employees_job_id_fkey REFERENCES jobs (id)
);
CREATE TABLE loads (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT loads_pkey PRIMARY KEY,
    dataset text,
    source text NOT NULL,
    version text,
    sequencer text,
    kind text NOT NULL CONSTRAINT loads_kind_check CHECK (kind IN ('csv', 'api', 'restore')),
    status text NOT NULL CONSTRAINT loads_status_check
        CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'skipped')),
    received bigint NOT NULL DEFAULT 0,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    superseded bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    resolved bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    errored_key text,
    sha256 text,
    restore_point text,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT loads_source_version_key UNIQUE (source, version)
);
CREATE INDEX loads_dataset_id_idx ON loads (dataset, id);
CREATE INDEX loads_status_id_idx ON loads (status, id);
CREATE TABLE orphans (
    dataset text,
    id integer,
    load_id bigint NOT NULL CONSTRAINT orphans_load_id_fkey REFERENCES loads (id) ON DELETE CASCADE,
    "row" json NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orphans_pkey PRIMARY KEY (dataset, id)
);
CREATE TABLE dataset_state (
    dataset text CONSTRAINT dataset_state_pkey PRIMARY KEY,
    version bigint NOT NULL,
    last_id integer NOT NULL DEFAULT 0
);
CREATE TABLE quarterly_hires (
    year integer,
    department_id integer,
    job_id integer,
    q1 integer NOT NULL DEFAULT 0,
    q2 integer NOT NULL DEFAULT 0,
    q3 integer NOT NULL DEFAULT 0,
    q4 integer NOT NULL DEFAULT 0,
    CONSTRAINT quarterly_hires_pkey PRIMARY KEY (year, department_id, job_id)
);
"""

# The changed employees are first counted by quarter, department and job, so that the expensive steps run once per group
# and not once per employee. The groups are upserted in the order of the primary key, so that two writers cannot
# deadlock. A group without changes is not written.
ADD_UP = """
    INSERT INTO quarterly_hires AS h (year, department_id, job_id, q1, q2, q3, q4)
    SELECT * FROM (
        SELECT CAST(extract(year FROM quarter) AS integer) AS year, department_id, job_id,
            coalesce(sum(hires) FILTER (WHERE extract(quarter FROM quarter) = 1), 0) AS q1,
            coalesce(sum(hires) FILTER (WHERE extract(quarter FROM quarter) = 2), 0) AS q2,
            coalesce(sum(hires) FILTER (WHERE extract(quarter FROM quarter) = 3), 0) AS q3,
            coalesce(sum(hires) FILTER (WHERE extract(quarter FROM quarter) = 4), 0) AS q4
        FROM ({counted}) AS counted
        GROUP BY 1, 2, 3
    ) AS change
    WHERE q1 <> 0 OR q2 <> 0 OR q3 <> 0 OR q4 <> 0
    ORDER BY year, department_id, job_id
    ON CONFLICT (year, department_id, job_id) DO UPDATE
    SET q1 = h.q1 + excluded.q1, q2 = h.q2 + excluded.q2, q3 = h.q3 + excluded.q3, q4 = h.q4 + excluded.q4;
"""
COUNTED = """
    SELECT date_trunc('quarter', datetime AT TIME ZONE 'UTC') AS quarter, department_id, job_id, {sign}count(*) AS hires
    FROM {rows} GROUP BY 1, 2, 3
"""
ADDED = COUNTED.format(rows="added", sign="")
REMOVED = COUNTED.format(rows="removed", sign="-")

SUMMARY = f"""
CREATE FUNCTION sum_up_hires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {ADD_UP.format(counted=ADDED)}
    ELSIF TG_OP = 'DELETE' THEN {ADD_UP.format(counted=REMOVED)}
    ELSIF TG_OP = 'UPDATE' THEN {ADD_UP.format(counted=f"{ADDED} UNION ALL {REMOVED}")}
    ELSE TRUNCATE quarterly_hires;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER hired_employees_sum_insert AFTER INSERT ON hired_employees REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION sum_up_hires();
CREATE TRIGGER hired_employees_sum_update AFTER UPDATE ON hired_employees
    REFERENCING NEW TABLE AS added OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION sum_up_hires();
CREATE TRIGGER hired_employees_sum_delete AFTER DELETE ON hired_employees REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION sum_up_hires();
CREATE TRIGGER hired_employees_sum_truncate AFTER TRUNCATE ON hired_employees
    FOR EACH STATEMENT EXECUTE FUNCTION sum_up_hires();
ALTER TABLE hired_employees
    ENABLE ALWAYS TRIGGER hired_employees_sum_insert, ENABLE ALWAYS TRIGGER hired_employees_sum_update,
    ENABLE ALWAYS TRIGGER hired_employees_sum_delete, ENABLE ALWAYS TRIGGER hired_employees_sum_truncate;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES)
    op.get_bind().exec_driver_sql(FUNCTION)
    for table in ("departments", "jobs", "hired_employees"):
        op.get_bind().exec_driver_sql(track_changes(table))
    op.get_bind().exec_driver_sql(SUMMARY)
