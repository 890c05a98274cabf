"""Add the right of a token to see rows, the position of the pruning of old loads, and an index of the loads that do
not come from requests. Make the summary of hires faster if nearly every employee has a department, a job and a quarter
of their own."""

from alembic import op

revision = "0012"
down_revision = "0011"

ROWS_AND_PRUNING = """
ALTER TABLE tokens ADD COLUMN rows boolean NOT NULL DEFAULT false;
ALTER TABLE landing_sweep ADD COLUMN pruned_to bigint NOT NULL DEFAULT 0;
CREATE INDEX loads_kind_id_idx ON loads (kind, id) WHERE kind <> 'api';
"""

# The changed employees are counted by year, department and job. A group without changes is not written. The fences
# (OFFSET 0) make Postgres compute the year and the quarter once for each employee, and not once for each quarter.
#
# MERGE takes half the time of INSERT … ON CONFLICT, but does not allow for rows that another transaction inserts at the
# same time. There are none: before this trigger, `note_change` has updated the row of hired_employees in dataset_state,
# so a second writer of hired_employees waits there until the first has ended.
SUM_UP = """
    MERGE INTO quarterly_hires AS h USING (
        SELECT * FROM (
            SELECT CAST(year AS integer) AS year, department_id, job_id,
                coalesce(sum(hires) FILTER (WHERE quarter = 1), 0) AS q1,
                coalesce(sum(hires) FILTER (WHERE quarter = 2), 0) AS q2,
                coalesce(sum(hires) FILTER (WHERE quarter = 3), 0) AS q3,
                coalesce(sum(hires) FILTER (WHERE quarter = 4), 0) AS q4
            FROM (
                SELECT date_part('year', at) AS year, date_part('quarter', at) AS quarter, department_id, job_id, hires
                FROM (
                    SELECT datetime AT TIME ZONE 'UTC' AS at, department_id, job_id, hires FROM ({rows}) AS rows OFFSET 0
                ) AS hired OFFSET 0
            ) AS dated
            GROUP BY 1, 2, 3
        ) AS counted
        WHERE q1 <> 0 OR q2 <> 0 OR q3 <> 0 OR q4 <> 0
        ORDER BY year, department_id, job_id
    ) AS change
    ON h.year = change.year AND h.department_id = change.department_id AND h.job_id = change.job_id
    WHEN MATCHED THEN UPDATE
        SET q1 = h.q1 + change.q1, q2 = h.q2 + change.q2, q3 = h.q3 + change.q3, q4 = h.q4 + change.q4
    WHEN NOT MATCHED THEN INSERT (year, department_id, job_id, q1, q2, q3, q4)
        VALUES (change.year, change.department_id, change.job_id, change.q1, change.q2, change.q3, change.q4);
"""
ADDED = "SELECT datetime, department_id, job_id, 1 AS hires FROM added"
REMOVED = "SELECT datetime, department_id, job_id, -1 AS hires FROM removed"

SUMMARY = f"""
CREATE OR REPLACE FUNCTION sum_up_hires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {SUM_UP.format(rows=ADDED)}
    ELSIF TG_OP = 'DELETE' THEN {SUM_UP.format(rows=REMOVED)}
    ELSIF TG_OP = 'UPDATE' THEN {SUM_UP.format(rows=f"{ADDED} UNION ALL {REMOVED}")}
    ELSE TRUNCATE quarterly_hires;
    END IF;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(ROWS_AND_PRUNING)
    op.get_bind().exec_driver_sql(SUMMARY)
