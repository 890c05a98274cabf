"""Tests restore points across releases: a release may add columns and datasets, and each release restores and verifies
the restore points of the others."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.backups import manifest, snapshot
from chalicelib.backups.run import run_backup
from chalicelib.backups.verify import PointReport, verify_point
from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core.dataset import Column, Dataset, checked
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import ABSENT
from chalicelib.core.streams import Peekable
from chalicelib.formats import avro
from chalicelib.ingest import merge, staging_table
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.relation import Relation
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging_table import StagingTable
from tests.integration.backups.test_restore_load import restore
from tests.integration.http_api import Api
from tests.integration.landing import Landing, counts
from tests.integration.s3_fixtures import BACKUP, S3
from tests.orders import CURRENT, NEWER, OLD, ORDERS, in_columns, rows
from tests.tables import creation

NOW = datetime(2021, 7, 27, 16, 2, 8, 123456, UTC)
RELEASED = Path(__file__).parent / "released"
Datasets = Mapping[str, Dataset]


class NoRejects:
    def add(self, reject: Any) -> None:
        raise AssertionError(reject)


@pytest.fixture
def orders(database: Database) -> Iterator[Database]:
    """Return a database that has the tables of the newest declaration beside its own."""
    with database.session() as session:
        session.run(creation(NEWER.values()))
    yield database
    with database.session() as session:
        session.run(f"DROP TABLE {', '.join(dataset.table for dataset in NEWER.values())}")


def back_up(database: Database, storage: Storage, datasets: Datasets, at: datetime = NOW) -> str:
    run = run_backup(database, storage, retention=timedelta(days=30), now=lambda: at, datasets=datasets)
    assert run.outcome == "created"
    return str(run.restore_point)


def restored(database: Database, storage: Storage, point: str, dataset: Dataset) -> tuple[Any, ...]:
    """Load a table of a restore point as a restore does, and return the notices."""
    body = storage.backup.get(manifest.key(point, dataset.name))
    with database.session() as session:
        reading = FileReading.of_own_backup(dataset, Peekable(io.BytesIO(body)))
        load(session, dataset, reading, body)
    return reading.file_format.notices


def load(session: Session, dataset: Dataset, reading: FileReading, body: bytes) -> None:
    table = StagingTable(dataset, reading.copy_format)
    staging_table.create(session, table)
    rejects: Any = NoRejects()
    list(Stager(table, reading.tokens(io.BytesIO(body)), rejects).run(session))
    with session.transaction():
        merge.load(session, dataset, Relation.staged(dataset, reading.file_format.layout, table.name))


def contents(database: Database, dataset: Dataset) -> list[Any]:
    names = ", ".join(column.quoted for column in dataset.columns)
    with database.session() as session:
        return session.run(f"SELECT CAST(t AS text) FROM (SELECT {names} FROM {dataset.table}) t ORDER BY id")


def run(database: Database, sql: str) -> None:
    with database.session() as session:
        session.run(sql)


def faults(report: PointReport) -> list[str]:
    return [*report.faults, *(f"{name}: {fault}" for name, table in report.tables.items() for fault in table.faults)]


USERS = "INSERT INTO \"user\" VALUES (1, 'Ann'), (2, 'Bo')"
ONE = st.sampled_from([1, 2])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=rows(ORDERS, user=ONE, **{"from": ONE}))
def test_a_restore_brings_back_every_value_and_every_null(
    orders: Database, storage: Storage, found: list[tuple[Any, ...]]
) -> None:
    file = io.BytesIO()
    avro.write(ORDERS, [in_columns(ORDERS, found)], file)
    data = file.getvalue()
    with orders.session() as session:
        session.run('TRUNCATE "user" CASCADE')
        session.run(USERS)
        load(session, ORDERS, FileReading.of_own_backup(ORDERS, Peekable(io.BytesIO(data))), data)
    before = contents(orders, ORDERS)
    point = back_up(orders, storage, CURRENT)
    assert faults(verify_point(storage.backup, point, datasets=CURRENT)) == []
    body = io.BytesIO(storage.backup.get(manifest.key(point, "order")))
    stored = [row for batch in avro.records(ORDERS, body) for row in batch]
    assert {row[0]: row for row in stored} == {row[0]: row for row in found}
    run(orders, 'DELETE FROM "order"')
    assert restored(orders, storage, point, ORDERS) == ()
    assert contents(orders, ORDERS) == before
    storage.backup.delete(*[entry.key for entry in storage.backup.objects(manifest.ROOT)])


def test_a_block_without_any_value_and_blocks_of_long_texts_lose_no_row(orders: Database) -> None:
    """The text of an optional column does not count for the size of a block if it is NULL."""
    run(
        orders,
        f'{USERS}; INSERT INTO "order" (id, "user", price, note, paid)'
        " SELECT i, 1, i, CASE WHEN i BETWEEN 9000 AND 9300 THEN repeat('x', 10000) END,"
        " CASE WHEN i > 9000 THEN true END"
        " FROM generate_series(1, 9600) i",
    )
    with orders.session() as session, snapshot.snapshot(session, [ORDERS]):
        blocks = list(snapshot.blocks(session, ORDERS))
    at = {name: ORDERS.column_names.index(name) for name in ORDERS.column_names}
    assert sorted(row_id for block in blocks for row_id in block[0]) == list(range(1, 9601))
    assert [len(set(map(len, block))) for block in blocks] == [1] * len(blocks)
    assert blocks[0][at["note"]] == [None] * len(blocks[0][0])
    for block in blocks:
        for row_id, note, paid in zip(block[0], block[at["note"]], block[at["paid"]], strict=True):
            assert (note is not None) == (9000 <= row_id <= 9300)
            assert paid is (True if row_id > 9000 else None)


def test_an_older_restore_point_leaves_newer_columns_as_they_are(orders: Database, storage: Storage) -> None:
    run(orders, f'{USERS}; INSERT INTO "order" (id, "user", price) VALUES (1, 1, 1.50), (2, 2, 2), (3, 1, 3)')
    point = back_up(orders, storage, OLD)
    run(
        orders,
        """UPDATE "order" SET price = 9, note = 'kept', paid = true, "from" = 2, rate = 7, since = '2020-02-02'
        WHERE id = 1; DELETE FROM "order" WHERE id = 2""",
    )
    for dataset in CURRENT.values():
        assert restored(orders, storage, point, dataset) == ()
    columns = 'id, "user", price, "from", note, paid, fee, rate, CAST(since AS text)'
    with orders.session() as session:
        found = session.run(f'SELECT CAST(t AS text) FROM (SELECT {columns} FROM "order" ORDER BY id) t')
    assert [row for (row,) in found] == [
        "(1,1,1.50,2,kept,t,0.500,7.00,2020-02-02)",
        "(2,2,2.00,,,,0.500,1.25,2021-07-27)",
        "(3,1,3.00,,,,0.500,1.25,2021-07-27)",
    ]
    report = verify_point(storage.backup, point, datasets=NEWER)
    assert (faults(report), report.notes) == ([], ["made before select existed"])


def test_a_null_in_an_older_restore_point_becomes_the_default_of_a_column_that_is_mandatory_now(
    orders: Database, storage: Storage
) -> None:
    run(orders, f'{USERS}; INSERT INTO "order" (id, "user", price, note, fee) VALUES (1, 1, 1, NULL, NULL)')
    point = back_up(orders, storage, CURRENT)
    defaults: dict[str, int | str | bool] = {
        "note": "none", "at": "2021-07-27T16:02:08Z", "day": "2021-07-27", "count": 7, "paid": False, "weight": "0.5",
    }  # fmt: skip
    columns = (
        replace(column, optional=False, default=defaults[column.name]) if column.name in defaults else column
        for column in ORDERS.columns
    )
    run(orders, """UPDATE "order" SET note = 'changed', day = '2000-01-01'; SET TIME ZONE 'UTC'""")
    assert restored(orders, storage, point, Dataset("order", "one_order", tuple(columns))) == ()
    [row] = contents(orders, ORDERS)
    assert row == ['(1,1,1.00,,none,"2021-07-27 16:02:08+00",2021-07-27,7,f,0.500000,,2021-07-27,1.25)']


def test_a_newer_restore_point_restores_what_this_release_has(orders: Database, storage: Storage) -> None:
    run(orders, f'{USERS}; INSERT INTO "order" (id, "user", price, note) VALUES (1, 1, 1.50, \'new\'), (2, 2, 2, NULL)')
    run(orders, 'INSERT INTO "select" VALUES (1, 1), (2, NULL)')
    point = back_up(orders, storage, NEWER)
    run(orders, 'UPDATE "order" SET price = 9, note = NULL')
    [notice] = restored(orders, storage, point, OLD["order"])
    assert notice.endswith("were left out: from, note, at, day, count, paid, weight, fee, since, rate")
    assert restored(orders, storage, point, OLD["user"]) == ()
    with orders.session() as session:
        found = session.run('SELECT id, CAST(price AS text), note FROM "order" ORDER BY id')
    assert [tuple(row) for row in found] == [(1, "1.50", None), (2, "2.00", None)]
    report = verify_point(storage.backup, point, datasets=OLD)
    added = ("from", "note", "at", "day", "count", "paid", "weight", "fee", "since", "rate")
    assert (faults(report), report.notes) == (
        [],
        [
            *(f"order: this release has no column {name}, so a restore leaves it out" for name in added),
            "select: this release has no such table, so it cannot be restored",
        ],
    )
    assert {name: table.rows for name, table in report.tables.items()} == {"user": 2, "order": 2, "select": 2}


def test_faults_of_a_table_that_this_release_does_not_have_are_found(orders: Database, storage: Storage) -> None:
    run(orders, f'{USERS}; INSERT INTO "order" (id, "user", price, "from") VALUES (1, 1, 1, 2), (2, 2, 2, NULL)')
    point = back_up(orders, storage, NEWER)
    file = io.BytesIO()
    avro.write(NEWER["select"], [([1, 1, 2, 3], [1, 5, None, 2])], file)
    body = file.getvalue()
    storage.backup.put(manifest.key(point, "select"), body, avro.CONTENT_TYPE)
    document = json.loads(storage.backup.get(manifest.manifest_key(point)))
    changed = {"rows": 4, "bytes": len(body), "sha256": sha256(body).hexdigest()}
    document["tables"]["select"] |= changed
    storage.backup.put(manifest.manifest_key(point), json.dumps(document).encode(), "application/json")
    expected = ["select: id 1 occurs more than once", "select: order 5 is not among the order of the snapshot"]
    for datasets in (OLD, CURRENT, NEWER):
        assert faults(verify_point(storage.backup, point, datasets=datasets)) == expected
    document["tables"].pop("order")
    storage.backup.put(manifest.manifest_key(point), json.dumps(document).encode(), "application/json")
    assert "the manifest lacks order" in faults(verify_point(storage.backup, point, datasets=OLD))


def test_a_missing_reference_of_an_optional_column_is_a_fault(orders: Database, storage: Storage) -> None:
    run(orders, f'{USERS}; INSERT INTO "order" (id, "user", price, "from") VALUES (1, 1, 1, 2), (2, 2, 2, NULL)')
    point = back_up(orders, storage, CURRENT)
    file = io.BytesIO()
    avro.write(CURRENT["user"], [([1], ["Ann"])], file)
    body = file.getvalue()
    storage.backup.put(manifest.key(point, "user"), body, avro.CONTENT_TYPE)
    document = json.loads(storage.backup.get(manifest.manifest_key(point)))
    document["tables"]["user"] |= {"rows": 1, "bytes": len(body), "sha256": sha256(body).hexdigest()}
    storage.backup.put(manifest.manifest_key(point), json.dumps(document).encode(), "application/json")
    assert faults(verify_point(storage.backup, point, datasets=OLD)) == [
        "order: user 2 is not among the user of the snapshot",
        "order: from 2 is not among the user of the snapshot",
    ]


def test_a_change_of_the_shape_makes_a_new_restore_point(orders: Database, storage: Storage) -> None:
    first = back_up(orders, storage, OLD)
    assert run_backup(orders, storage, retention=timedelta(days=30), datasets=OLD).outcome == "unchanged"
    second = back_up(orders, storage, NEWER, NOW + timedelta(hours=1))
    assert manifest.names(storage.backup) == [second, first]
    found = manifest.get(storage.backup, second)
    assert {name: schema.declared for name, schema in found.schemas.items()} == {
        name: avro.schema(dataset) for name, dataset in NEWER.items()
    }
    assert found.schemas["order"].references == {"user": "user", "from": "user"}


@pytest.mark.parametrize(
    "schemas",
    [[], "x", {"jobs": []}, {"jobs": {}}, {"jobs": {"fields": [{"name": 1}]}}, {"jobs": {"fields": []}},
     {"jobs": {"fields": [{"name": "id", "type": "string"}]}},
     {"jobs": {"fields": [{"name": "id", "type": "int", "references": 1}]}},
     {"jobs": {"fields": [{"name": "id", "type": "int", "references": "departments"}]}}],
)  # fmt: skip
def test_a_manifest_with_malformed_schemas_is_broken(database: Database, storage: Storage, schemas: Any) -> None:
    point = str(run_backup(database, storage, retention=timedelta(days=30), now=lambda: NOW).restore_point)
    document = json.loads(storage.backup.get(manifest.manifest_key(point)))
    document["schemas"] = schemas
    storage.backup.put(manifest.manifest_key(point), json.dumps(document).encode(), "application/json")
    assert manifest.read(storage.backup, point) is None
    [fault] = faults(verify_point(storage.backup, point))
    assert fault.startswith("the manifest is broken")


@pytest.fixture
def released(landing: Landing) -> str:
    """Put a restore point into the bucket that a release without optional columns has made. Return its name."""
    for path in sorted(RELEASED.rglob("*.*")):
        if path.is_file():
            landing.s3.client.put_object(Bucket=BACKUP, Key=str(path.relative_to(RELEASED)), Body=path.read_bytes())
    [name] = manifest.names(landing.s3.storage.backup)
    return name


def test_a_restore_point_of_the_previous_release_is_restored_and_verified(landing: Landing, released: str) -> None:
    report = verify_point(landing.s3.storage.backup, released)
    assert (faults(report), report.notes) == ([], [])
    assert {name: table.rows for name, table in report.tables.items()} == {
        "departments": 2, "jobs": 2, "hired_employees": 60,
    }  # fmt: skip
    for name, expected in (("departments", 2), ("jobs", 2), ("hired_employees", 60)):
        loaded = restore(landing, name, released)
        assert (loaded["status"], loaded["notices"], counts(loaded)) == (
            "succeeded",
            [],
            (expected, expected, 0, 0, 0, 0),
        )
    assert landing.scalar("SELECT department FROM departments WHERE id = 2147483647") == "Last – café"
    assert landing.scalar("SELECT count(*) FROM hired_employees WHERE job_id = 7") == 20


def test_a_released_restore_point_is_verified_when_a_mandatory_column_was_added(
    landing: Landing, released: str
) -> None:
    job = DATASETS["jobs"]
    later = checked(
        (
            DATASETS["departments"],
            Dataset("jobs", "job", (*job.columns, Column("grade", Kind.WHOLE_NUMBER))),
            DATASETS["hired_employees"],
        )
    )
    report = verify_point(landing.s3.storage.backup, released, datasets=later)
    assert (faults(report), report.notes) == ([], [])


def _with_column(data: bytes, dataset: Dataset) -> bytes:
    """Return the file of a later release, which has a column `email` beside those of `dataset`."""
    later = Dataset("later", "later_row", (*dataset.columns, Column("email", Kind.TEXT, optional=True)))
    found = [row for batch in avro.records(later, io.BytesIO(data)) for row in batch]
    assert {row[-1] for row in found} == {ABSENT}
    file = io.BytesIO()
    avro.write(later, [[*zip(*(row[:-1] for row in found), strict=True), ["x@example.com"] * len(found)]], file)
    return file.getvalue()


def test_the_load_of_a_newer_restore_point_has_a_notice(landing: Landing, released: str, api: Api) -> None:
    storage = landing.s3.storage.backup
    body = _with_column(storage.get(manifest.key(released, "jobs")), DATASETS["jobs"])
    storage.put(manifest.key(released, "jobs"), body, avro.CONTENT_TYPE)
    document = json.loads(storage.get(manifest.manifest_key(released)))
    document["tables"]["jobs"] |= {"bytes": len(body), "sha256": sha256(body).hexdigest()}
    document["tables"]["locations"] = document["tables"]["jobs"]
    storage.put(manifest.manifest_key(released), json.dumps(document).encode(), "application/json")
    loaded = restore(landing, "jobs", released)
    assert (loaded["status"], loaded["notices"]) == (
        "succeeded",
        ["the restore point has columns that this release does not have, and they were left out: email"],
    )
    assert counts(loaded) == (2, 2, 0, 0, 0, 0)
    [listed] = api.get("/backups").body["backups"]
    assert set(listed["tables"]) == {*DATASETS, "locations"}
    note = "locations: this release has no such dataset, so it cannot be restored"
    assert note in api.get(f"/dashboard/restore?point={released}").body


def test_each_run_has_the_schemas_in_its_manifest(database: Database, s3: S3) -> None:
    point = str(run_backup(database, s3.storage, retention=timedelta(days=30), now=lambda: NOW).restore_point)
    document = json.loads(s3.storage.backup.get(manifest.manifest_key(point)))
    assert document["format"] == 1
    assert document["schemas"] == {name: avro.schema(dataset) for name, dataset in DATASETS.items()}
