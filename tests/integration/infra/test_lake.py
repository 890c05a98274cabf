"""Tests that the Athena queries on backups return what the reports of the API return. DuckDB runs the queries on the
files of a restore point."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import fastavro
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.backups import manifest
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.reports.declaration import Scope, Span
from chalicelib.reports.hires import QUARTERLY, TOP
from chalicelib.reports.queries import as_json
from infra.aws import lake
from tests.integration.s3_fixtures import BACKUP, S3

NOW = datetime(2021, 7, 27, 16, 2, 8, 123456, UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TYPES = {"int": "INTEGER", "string": "VARCHAR"}  # the types that have another name in DuckDB than in Athena

EDGES = [  # the first and the last microsecond of years, quarters and days, also before 1970
    datetime(year, month, day, tzinfo=UTC) + timedelta(microseconds=shift)
    for year in (2, 1900, 1969, 1970, 2000, 2021, 2022, 9999)
    for month, day in ((1, 1), (3, 1), (4, 1), (7, 1), (10, 1), (12, 31))
    for shift in (-1, 0, 1)
]
INSTANTS = st.sampled_from(EDGES) | st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC))
NAMES = st.sampled_from(["Ünited", "Z", "a", "é", "\U0001f600", "same", "Same"])
ROWS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), INSTANTS), max_size=40)


class Lake:
    """Reads the tables as Athena does. It follows the links to the files, and uses the schema of the template."""

    def __init__(self, s3: S3) -> None:
        self._s3, self._duck = s3, duckdb.connect()
        for dataset in DATASETS.values():
            columns = ", ".join(f"{c.quoted} {TYPES.get(c.kind.athena, c.kind.athena)}" for c in dataset.columns)
            self._duck.execute(f"CREATE TABLE {dataset.table} ({columns}, restore_point VARCHAR)")

    def add(self, restore_point: str) -> None:
        for dataset in DATASETS.values():
            link = self._get(manifest.link_key(restore_point, dataset.name)).decode()
            file = io.BytesIO(self._get(link.removeprefix(f"s3://{BACKUP}/")))
            schema = fastavro.parse_schema(json.loads(lake.schema_literal(dataset)))
            marks = ", ".join("?" * (len(dataset.columns) + 1))
            rows = [(*_stored(dataset, row), restore_point) for row in fastavro.reader(file, schema)]
            if rows:
                self._duck.executemany(f"INSERT INTO {dataset.table} VALUES ({marks})", rows)

    def query(self, report: str, restore_point: str, year: int) -> list[dict[str, Any]]:
        sql = lake.QUERIES[report].read_text()
        points = [restore_point] * (sql.count("= ?") - 1)
        result = self._duck.execute(sql, [*points, year])
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _get(self, key: str) -> bytes:
        return self._s3.client.get_object(Bucket=BACKUP, Key=key)["Body"].read()


def _stored(dataset: Dataset, row: Any) -> list[Any]:
    """Return a row as Athena reads it. An instant becomes the number of microseconds since 1970."""
    return [
        (row[c.name] - EPOCH) // timedelta(microseconds=1) if c.kind is Kind.INSTANT else row[c.name]
        for c in dataset.columns
    ]


def _fill(database: Database, departments: list[str], jobs: list[str], rows: list[tuple[int, int, datetime]]) -> None:
    with database.session() as session:
        session.run("TRUNCATE hired_employees, departments, jobs CASCADE")
        for table, names in (("departments", departments), ("jobs", jobs)):
            for number, name in enumerate(names, 1):
                session.run(f"INSERT INTO {table} VALUES (:id, :name)", id=number, name=name)
        for number, (department, job, at) in enumerate(rows, 1):
            session.run(
                "INSERT INTO hired_employees VALUES (:id, 'x', CAST(:at AS timestamptz), :department, :job)",
                id=number,
                at=at.isoformat().zfill(32),
                department=department,
                job=job,
            )


def _api(database: Database, year: int) -> dict[str, Any]:
    with database.session() as session:
        return {r.name: json.loads(as_json(session, r, Span.YEAR, Scope(year, year))) for r in (QUARTERLY, TOP)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    departments=st.lists(NAMES, min_size=4, max_size=4),
    jobs=st.lists(NAMES, min_size=3, max_size=3),
    rows=ROWS,
)
@example(
    departments=["a", "Z", "same", "same"],
    jobs=["é", "z", "\U0001f600"],
    rows=[(department, job, NOW) for department in (1, 2, 3, 4) for job in (1, 2, 3)],
)
def test_both_queries_return_the_reports_of_the_api(
    database: Database, s3: S3, departments: list[str], jobs: list[str], rows: list[tuple[int, int, datetime]]
) -> None:
    _fill(database, departments, jobs, rows)
    point = str(run_backup(database, s3.storage, retention=timedelta(days=30), now=lambda: NOW).restore_point)
    athena = Lake(s3)
    athena.add(point)
    for year in {1, 1970, 2021, 9999, *(at.year for _, _, at in rows)}:
        assert {report: athena.query(report, point, year) for report in lake.QUERIES} == _api(database, year)


def test_a_query_reads_the_restore_point_it_names(database: Database, s3: S3) -> None:
    seen: dict[str, Any] = {}
    for hires in (3, 1):
        _fill(database, ["Legal", "Sales"], ["Clerk"], [(1, 1, NOW)] * hires + [(2, 1, NOW)])
        point = str(run_backup(database, s3.storage, retention=timedelta(days=30), now=lambda: NOW).restore_point)
        seen[point] = _api(database, 2021)
    athena = Lake(s3)
    for point in seen:
        athena.add(point)
    assert [len(response["top"]) for response in seen.values()] == [1, 0]
    for point, response in seen.items():
        assert {report: athena.query(report, point, 2021) for report in lake.QUERIES} == response


def test_the_links_are_written_before_the_manifest(database: Database, s3: S3) -> None:
    written: list[str] = []
    s3.before = lambda operation, key: written.append(key) if operation == "PutObject" else None
    point = str(run_backup(database, s3.storage, retention=timedelta(days=30), now=lambda: NOW).restore_point)
    assert written[-len(DATASETS) - 1 :] == [
        *(manifest.link_key(point, name) for name in DATASETS),
        manifest.manifest_key(point),
    ]


def test_an_unchanged_backup_without_links_is_made_again(database: Database, s3: S3) -> None:
    def run() -> str:
        return str(run_backup(database, s3.storage, retention=timedelta(days=30), now=lambda: NOW).restore_point)

    first = run()
    assert run() == first
    s3.client.delete_object(Bucket=BACKUP, Key=manifest.link_key(first, "jobs"))
    assert run() != first


def test_links_are_deleted_with_their_restore_point(database: Database, s3: S3) -> None:
    def run(at: datetime) -> None:
        run_backup(database, s3.storage, retention=timedelta(days=1), now=lambda: at)

    run(NOW)
    _fill(database, ["Legal"], [], [])
    run(NOW + timedelta(days=2))
    keys = [item["Key"] for item in s3.client.list_objects_v2(Bucket=BACKUP)["Contents"]]
    assert keys
    assert not [key for key in keys if key.startswith("backups/20210727")]
