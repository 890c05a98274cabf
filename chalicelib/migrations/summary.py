"""Defines the function of the triggers that keep the summary of hires, `quarterly_hires`, equal to the table of hired
employees."""

# The changed employees are counted by year, department and job. A group without changes is not written. The fences
# (OFFSET 0) make Postgres compute the year and the quarter once for each employee, and not once for each quarter.
#
# MERGE takes half the time of INSERT … ON CONFLICT, but does not allow for rows that another transaction inserts at the
# same time. There are none: before this trigger, `note_change` has updated the row of hired_employees in dataset_state,
# so a second writer of hired_employees waits there until the first has ended.
_SUM_UP = """
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
                    SELECT datetime AT TIME ZONE 'UTC' AS at, department_id, job_id, hires
                    FROM ({rows}) AS rows OFFSET 0
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
_ADDED = "SELECT datetime, department_id, job_id, 1 AS hires FROM added"
_REMOVED = "SELECT datetime, department_id, job_id, -1 AS hires FROM removed"

# A statement that matched no row fires its triggers, too. Most merges have such a statement: an UPDATE if all rows are
# new, an INSERT if none is new. To begin the MERGE without rows would take longer than to write one row.
SUM_UP_HIRES = f"""
CREATE OR REPLACE FUNCTION sum_up_hires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM FROM added LIMIT 1;
        IF FOUND THEN {_SUM_UP.format(rows=_ADDED)} END IF;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM FROM removed LIMIT 1;
        IF FOUND THEN {_SUM_UP.format(rows=_REMOVED)} END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM FROM added LIMIT 1;
        IF FOUND THEN {_SUM_UP.format(rows=f"{_ADDED} UNION ALL {_REMOVED}")} END IF;
    ELSE TRUNCATE quarterly_hires;
    END IF;
    RETURN NULL;
END $$;
"""
