"""Contains a function for each measurement. Each function measures a kind of work and its limit alternately, on the rig
of bench/rig.py. The function also checks the rows that the work has stored, and yields results."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench.data import Employees, Shape, employees, workbook
from bench.results import Result
from bench.rig import Rig, Worker
from chalicelib.cloud.database import Database
from chalicelib.core.errors import Unprocessable
from chalicelib.reports.declaration import Scope, Span
from chalicelib.reports.hires import QUARTERLY, TOP
from chalicelib.reports.queries import as_json
from infra.venv import ROOT

FK, PK = "\\copy, PK and FKs", "\\copy, PK only"


@dataclass(frozen=True)
class Scale:
    """The numbers of rows in small (`rows`), large and huge tables. `rounds` is how often each measurement is
    repeated."""

    rows: int
    large: int
    huge: int
    rounds: int

    def name(self, rows: int) -> str:
        return f"{rows // 1_000_000}M" if rows % 1_000_000 == 0 else f"{rows // 1000}k"


Case = Callable[[Rig, Scale], Iterator[Result]]


def check(rig: Rig, load: dict[str, Any], data: Employees, table: str = "limits.pk_fk") -> None:
    """Raise AssertionError if a load has not rejected exactly the broken rows, or if the product's table differs from
    `table`, which the limit has filled."""
    assert (load["status"], load["received"], load["rejected"]) == ("succeeded", data.rows, data.rejected), load
    assert rig.checksum("hired_employees") == rig.checksum(table), "the tables differ"


def first_load(rig: Rig, scale: Scale) -> Iterator[Result]:
    data = employees(scale.rows)
    pk, fk, first, again = [], [], [], []
    for _ in range(scale.rounds):
        rig.reset(Shape())
        pk.append(rig.copy("limits.pk", data))
        fk.append(rig.copy("limits.pk_fk", data))
        done = rig.ingest(data.file)
        check(rig, done["load"], data)
        first.append(done["seconds"])
        done = rig.ingest(data.file)
        assert (done["load"]["inserted"], done["load"]["updated"]) == (0, 0), done["load"]
        again.append(done["seconds"])
    size = scale.name(scale.rows)
    yield Result(f"ingest, first load, {size}", FK, first, fk, 0.40)
    yield Result(f"ingest, first load, {size}", PK, first, pk, 2.3)
    yield Result("ingest, the same file again", "first load", again, first, 1.0)


def _load_of(rig: Rig, scale: Scale, work: str, goal: float, shape: Shape) -> Iterator[Result]:
    data = employees(scale.rows, shape)
    limit, seconds = [], []
    for _ in range(scale.rounds):
        rig.reset(shape)
        limit.append(rig.copy("limits.pk_fk", data))
        done = rig.ingest(data.file)
        check(rig, done["load"], data)
        seconds.append(done["seconds"])
    yield Result(work, FK, seconds, limit, goal)


def without_right(rig: Rig, scale: Scale) -> Iterator[Result]:
    with rig.without_right():
        yield from _load_of(rig, scale, "ingest, foreign keys by trigger", 1.2, Shape())


def many_groups(rig: Rig, scale: Scale) -> Iterator[Result]:
    shape = Shape(departments=1000, jobs=1000)
    yield from _load_of(rig, scale, "ingest, 1000 departments x 1000 jobs", 1.1, shape)
    yield from _reports(rig, "1000 x 1000 groups", None)


def styles(rig: Rig, scale: Scale) -> Iterator[Result]:
    for style in ("quoted", "crlf", "offset"):
        yield from _load_of(rig, scale, f"ingest, {style} file", 0.6, Shape(style=style))


def dialects(rig: Rig, scale: Scale) -> Iterator[Result]:
    """Compare loads of files in other dialects with loads of a plain file of the same rows."""
    goals = {"semicolons": 1.15, "permuted": 1.15, "two ignored columns": 1.15, "UTF-16": 1.5, "decimal ids": 1.5}
    seconds: dict[str, list[float]] = {style: [] for style in ("plain", *goals)}
    for _ in range(scale.rounds):
        for style, took in seconds.items():
            data = employees(scale.rows, Shape(style=style))
            rig.reset(Shape())
            rig.copy("limits.pk_fk", data)
            done = rig.ingest(data.file)
            check(rig, done["load"], data)
            took.append(done["seconds"])
    for style, goal in goals.items():
        yield Result(f"ingest, {style}", "a plain file of the same rows", seconds[style], seconds["plain"], goal)


def workbooks(rig: Rig, scale: Scale) -> Iterator[Result]:
    """Compare the load of an XLSX workbook with the load of a plain file of the same rows. The workbook has at most
    100,000 rows, because a larger one could exceed the limit of 20 MB."""
    data = employees(min(scale.rows, 100_000))
    sheet = workbook(data)
    plain: list[float] = []
    excel: list[float] = []
    peaks: list[float] = []
    for _ in range(scale.rounds):
        for body, seconds in ((data.file, plain), (sheet, excel)):
            rig.reset(Shape())
            rig.copy("limits.pk_fk", data)
            done = rig.ingest(body)
            check(rig, done["load"], data)
            seconds.append(done["seconds"])
    worker = Worker(rig.environment)  # the new process runs only this load, so its peak memory is the peak of this load
    peaks.append(rig.ingest(sheet, worker=worker)["peak"])
    worker.close()
    size = scale.name(data.rows)
    yield Result(f"ingest, XLSX, {size}", "a plain file of the same rows", excel, plain, 5.0)
    yield Result(f"peak memory of an ingest, XLSX, {size}", "256 MB", peaks, [256.0], 1.0, unit="MB")


def memory(rig: Rig, scale: Scale) -> Iterator[Result]:
    peaks = []
    for rows in (scale.rows, scale.large):
        data = employees(rows)
        rig.reset(Shape())
        worker = Worker(rig.environment)  # a new process, so that the peak memory is that of this load alone
        done = rig.ingest(data.file, worker=worker)
        assert done["load"]["received"] == rows, done["load"]
        peaks.append(done["peak"])
        worker.close()
    small, large = (scale.name(rows) for rows in (scale.rows, scale.large))
    yield Result(f"peak memory of an ingest, {large}", "110 MB", peaks[1:], [110.0], 1.0, unit="MB")
    yield Result(f"peak memory of an ingest, {large}", f"peak with {small}", peaks[1:], peaks[:1], 1.1, unit="MB")


def backup(rig: Rig, scale: Scale) -> Iterator[Result]:
    fill(rig, scale.rows)
    seconds, limit = [], []
    for _ in range(scale.rounds):
        path = str(rig.folder / "dump")
        rig.settle()
        limit.append(rig.run("pg_dump", "-Fc", "-t", "public.hired_employees", "-f", path))
        rig.sql("UPDATE dataset_state SET version = version + 1")
        rig.settle()
        done = rig.scheduled("backup")
        assert done["result"]["outcome"] == "created", done
        assert done["result"]["tables"]["hired_employees"]["rows"] == rig.checksum("hired_employees")[0]
        seconds.append(done["seconds"])
    yield Result(f"backup to Avro, {scale.name(scale.rows)}", "pg_dump -Fc", seconds, limit, 1.3)


def restore(rig: Rig, scale: Scale) -> Iterator[Result]:
    """Measure restores. The time of a restore includes the request and the load of all rows into an empty table."""
    data = employees(scale.rows)
    rig.reset(Shape())
    rig.copy("limits.pk_fk", data)
    rig.ingest(data.file)
    rig.scheduled("backup")
    wanted, dump = rig.checksum("hired_employees"), str(rig.folder / "dump")
    rig.run("pg_dump", "-Fc", "-t", "limits.pk_fk", "-f", dump)
    seconds, limit = [], []
    for _ in range(scale.rounds):
        rig.sql("DROP TABLE limits.pk_fk")
        rig.settle()
        limit.append(rig.run("pg_restore", "-d", "hireflow", dump))
        rig.sql("TRUNCATE hired_employees")
        rig.settle()
        accepted = rig.api("POST", "/hired_employee/backup/restore")
        assert accepted["result"]["statusCode"] == 202, accepted
        load_id = json.loads(accepted["result"]["body"])["load_id"]
        done = rig.worker.call("ingest", rig.arrived(f"restores/{load_id}/hired_employees.avro"))
        assert rig.checksum("hired_employees") == wanted == rig.checksum("limits.pk_fk"), rig.newest_load()
        seconds.append(accepted["seconds"] + done["seconds"])
    yield Result(f"restore, {scale.name(scale.rows)}", "pg_restore", seconds, limit, 3.2)


_BARE = """
    WITH sent AS (
        SELECT * FROM json_to_recordset(CAST(:rows AS json))
            AS s (seq integer, id integer, name text, datetime timestamptz, department_id integer, job_id integer)
    ), valid AS (
        SELECT DISTINCT ON (s.id) s.* FROM sent s
        JOIN departments d ON d.id = s.department_id JOIN jobs j ON j.id = s.job_id ORDER BY s.id, seq DESC
    ), written AS (
        INSERT INTO hired_employees AS h (id, name, datetime, department_id, job_id)
        SELECT id, name, datetime, department_id, job_id FROM valid
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, datetime = excluded.datetime,
            department_id = excluded.department_id, job_id = excluded.job_id
        WHERE (h.name, h.datetime, h.department_id, h.job_id)
            IS DISTINCT FROM (excluded.name, excluded.datetime, excluded.department_id, excluded.job_id)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM written), (SELECT count(*) FROM valid)
"""


def batch(rig: Rig, scale: Scale) -> Iterator[Result]:
    """Measure batches. Half of the rows of a batch are new, and the other half change existing rows."""
    fill(rig, scale.rows)
    database = Database(rig.url, tls="disable")
    seconds, limit = [], []
    largest = int(rig.scalar("SELECT max(id) FROM hired_employees"))
    for turn in range(24):
        rows = [_sent(i, largest + turn * 1000) for i in range(1000)]
        bare = [{**_sent(i, largest + turn * 1000 + 500), "seq": i} for i in range(1000)]
        text = json.dumps(bare)
        start = time.perf_counter()
        with database.transaction() as session:
            [[written, _]] = session.run(_BARE, rows=text)
        limit.append(time.perf_counter() - start)
        done = rig.api("POST", "/hired_employee/upload/batch", {"data": rows})
        body = json.loads(done["result"]["body"])
        assert written == body["inserted"] + body["updated"] == 1000, body
        seconds.append(done["seconds"])
    database.close()
    yield Result("batch of 1000, view function", "bare upsert statement", seconds[4:], limit[4:], 1.3)


def _sent(number: int, largest: int) -> dict[str, Any]:
    row_id = largest + number // 2 + 1 if number % 2 else largest % 1000 * 100 + number + 1
    at = f"2021-{1 + number % 12:02}-15T10:00:00Z"
    return {"id": row_id, "name": f"Ann {largest}", "datetime": at, "department_id": 1 + number % 12, "job_id": 1}


def reports(rig: Rig, scale: Scale) -> Iterator[Result]:
    of_sizes = []
    for rows in (10_000, scale.rows, scale.large):
        fill(rig, rows)
        of_sizes.append(list(_reports(rig, scale.name(rows), 1.0)))
        yield from of_sizes[-1]
    for report in range(2):
        small, *_, large = (results[report] for results in of_sizes)
        yield Result(large.work, f"over {scale.name(10_000)} rows", large.samples, small.samples, 1.5)


def _reports(rig: Rig, over: str, goal: float | None) -> Iterator[Result]:
    rig.sql("VACUUM ANALYZE quarterly_hires")
    database = Database(rig.url, tls="disable")
    for report in (QUARTERLY, TOP):
        seconds = []
        with database.session() as session:
            for _ in range(30):
                start = time.perf_counter()
                with suppress(Unprocessable):  # a report that is too large is refused, which also takes time
                    as_json(session, report, Span.YEAR, Scope(2021, 2021))
                seconds.append(time.perf_counter() - start)
        yield Result(f"report {report.name}, {over}", "10 ms", seconds[5:], [0.010], goal)
    database.close()


def growth(rig: Rig, scale: Scale) -> Iterator[Result]:
    """Load files of the same size into tables of growing size: first new rows, then changes to rows that are spread
    over the whole table."""
    added = scale.rows // 10
    sizes = (scale.rows, scale.large, scale.huge)
    new: list[list[float]] = []
    changed: list[list[float]] = []
    for rows in sizes:
        rig.fill(rows)
        new.append([])
        changed.append([])
        for turn in range(2 + 2 * scale.rounds):
            fresh = employees(added, first_id=rows + 1 + turn * added)
            done = rig.ingest(fresh.file)
            assert done["load"]["inserted"] > 0.9 * added, done["load"]
            seconds = done["seconds"]
            step = rows // added
            rewritten = employees(added, first_id=1, step=step)
            done = rig.ingest(rewritten.file.replace(b",Ada ", f",Ada {turn} ".encode()))
            assert done["load"]["updated"] > 0, done["load"]
            if turn >= 2:  # Postgres still writes the changes of `fill`, so the first two rounds do not count
                new[-1].append(seconds)
                changed[-1].append(done["seconds"])
    for work, of_sizes in (("new", new), ("changed", changed)):
        for size, seconds in zip(sizes[1:], of_sizes[1:], strict=True):
            name = f"ingest of {scale.name(added)} {work} rows into {scale.name(size)}"
            yield Result(name, f"into {scale.name(scale.rows)}", seconds, of_sizes[0], 1.3)


_API = "import chalicelib.api, app; app.app"
_INGEST = (
    "import app; from chalicelib.ingest import events, objects; from chalicelib.services import services;"
    "services().storage.landing._client()"
)
_EAGER = "import chalice.app, pg8000.native, boto3; boto3.client('s3')"


def cold_start(rig: Rig, scale: Scale) -> Iterator[Result]:
    seconds: dict[str, list[float]] = {_API: [], _INGEST: [], _EAGER: []}
    for turn in range(2 + 3 * scale.rounds):
        for code, samples in seconds.items():
            took = _import_seconds(rig, code)
            if turn >= 2:  # the first two imports compile the files and fill the page cache
                samples.append(took)
    yield Result("cold start, api", "chalice + pg8000 + boto3 s3", seconds[_API], seconds[_EAGER], 0.6)
    yield Result("cold start, ingest", "chalice + pg8000 + boto3 s3", seconds[_INGEST], seconds[_EAGER], 1.1)


def _import_seconds(rig: Rig, code: str) -> float:
    timed = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
    environment = {**rig.environment, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", timed], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def fill(rig: Rig, rows: int) -> None:
    """Load `rows` employees with the function `ingest` of the product, and check the table."""
    rig.reset(Shape())
    data = employees(rows)
    rig.copy("limits.pk", data)
    check(rig, rig.ingest(data.file)["load"], data, "limits.pk")
    rig.sql("VACUUM ANALYZE hired_employees")


CASES: Sequence[Case] = (
    cold_start,
    first_load,
    without_right,
    many_groups,
    styles,
    dialects,
    workbooks,
    memory,
    backup,
    restore,
    batch,
    reports,
    growth,
)
