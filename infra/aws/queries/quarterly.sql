-- Hires per department, job and quarter of a UTC year, as of a restore point: GET /department/hires/quarterly/{year}.
-- The parameters are the restore point three times, once for each table, and then the year.
WITH departments_then AS (
    SELECT id, department FROM departments WHERE restore_point = ?
), jobs_then AS (
    SELECT id, job FROM jobs WHERE restore_point = ?
), shifted AS (
    -- `elapsed` is in microseconds since 0001-01-01. No value is negative, so the division below rounds down.
    SELECT department_id, job_id, datetime + 62135596800000000 AS elapsed FROM hired_employees WHERE restore_point = ?
), hires AS (
    SELECT department_id, job_id,
        DATE '0001-01-01' + INTERVAL '1' DAY * CAST((elapsed - mod(elapsed, 86400000000)) / 86400000000 AS integer) AS hired_on
    FROM shifted
), counted AS (
    SELECT department_id, job_id,
        sum(CASE WHEN quarter(hired_on) = 1 THEN 1 ELSE 0 END) AS q1,
        sum(CASE WHEN quarter(hired_on) = 2 THEN 1 ELSE 0 END) AS q2,
        sum(CASE WHEN quarter(hired_on) = 3 THEN 1 ELSE 0 END) AS q3,
        sum(CASE WHEN quarter(hired_on) = 4 THEN 1 ELSE 0 END) AS q4
    FROM hires WHERE year(hired_on) = ?
    GROUP BY department_id, job_id
)
SELECT d.department, j.job, c.q1, c.q2, c.q3, c.q4
FROM counted c JOIN departments_then d ON d.id = c.department_id JOIN jobs_then j ON j.id = c.job_id
ORDER BY d.department, j.job, d.id, j.id
