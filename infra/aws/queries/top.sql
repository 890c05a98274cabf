-- Departments that hired more than the mean of all hiring departments in a UTC year, as of a restore point:
-- GET /department/hires/top/{year}. The parameters are the restore point twice, once for each table, and then the year.
WITH departments_then AS (
    SELECT id, department FROM departments WHERE restore_point = ?
), shifted AS (
    -- `elapsed` is in microseconds since 0001-01-01. No value is negative, so the division below rounds down.
    SELECT department_id, datetime + 62135596800000000 AS elapsed FROM hired_employees WHERE restore_point = ?
), hires AS (
    SELECT department_id,
        DATE '0001-01-01' + INTERVAL '1' DAY * CAST((elapsed - mod(elapsed, 86400000000)) / 86400000000 AS integer) AS hired_on
    FROM shifted
), counted AS (
    SELECT department_id, count(*) AS hired FROM hires WHERE year(hired_on) = ? GROUP BY department_id
), whole AS (
    SELECT count(*) AS departments, sum(hired) AS hired FROM counted
)
SELECT d.id, d.department, c.hired
FROM counted c JOIN departments_then d ON d.id = c.department_id CROSS JOIN whole w
WHERE c.hired * w.departments > w.hired -- more than the mean, in integer arithmetic
ORDER BY c.hired DESC, d.id
