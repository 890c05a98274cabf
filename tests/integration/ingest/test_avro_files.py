"""Tests loads of Avro files that other programs have written. Also tests restores of texts that the rules for texts
would change or reject."""

import io
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest

from chalicelib.core.datasets import DATASETS
from chalicelib.formats import avro
from chalicelib.ingest.dryrun import dry_run
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.handover import HandoverPolicy
from chalicelib.ingest.objects import Ingestion, ingest_object
from tests.fuzz.generate_avro import repacked
from tests.integration.backups.test_restore_load import back_up, restore, run
from tests.integration.http_api import Api
from tests.integration.landing import GRACE, Landing, Row, counts
from tests.integration.s3_fixtures import LANDING

# A schema as Spark writes it. All columns may be null, and ids are `long`. The columns are not in the order of the
# dataset. Two columns are not columns of the dataset, and one of these two is nested.
SPARK = {
    "type": "record",
    "name": "topLevelRecord",
    "fields": [
        {"name": "Name", "type": ["string", "null"]},
        {"name": "skills", "type": [{"type": "array", "items": ["string", "null"]}, "null"]},
        {"name": "hire_date", "type": [{"type": "long", "logicalType": "timestamp-millis"}, "null"]},
        {"name": "job_id", "type": ["long", "null"]},
        {"name": "department_id", "type": ["long", "null"]},
        {"name": "salary", "type": ["double", "null"]},
        {"name": "id", "type": ["long", "null"]},
    ],
}
AT = datetime(2021, 7, 27, 16, 2, 8, 123000, UTC)


def employee(number: int | None, **changed: Any) -> Row:
    usual = {"id": number, "Name": f"Name {number}", "hire_date": AT, "department_id": 1, "job_id": 1}
    return usual | {"skills": ["SQL", None], "salary": 1.5} | changed


def of_spark(*records: Row, codec: str = "snappy") -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, SPARK, records, sync_interval=500)
    return repacked(file.getvalue(), codec)


@pytest.fixture
def with_parents(landing: Landing) -> Landing:
    run(landing, "INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")
    return landing


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_a_file_of_spark_is_loaded(with_parents: Landing, codec: str) -> None:
    load = with_parents.upload("hired_employees/part-0.avro", of_spark(*map(employee, range(1, 101)), codec=codec))
    assert (load["kind"], load["status"]) == ("avro", "succeeded")
    assert counts(load) == (100, 100, 0, 0, 0, 0)
    assert with_parents.scalar(f"SELECT format FROM loads WHERE id = {load['id']}") == {
        "type": "avro",
        "delimiter": None,
        "encoding": None,
        "header": True,
        "ignored_columns": ["skills", "salary"],
    }
    assert with_parents.rows("SELECT * FROM hired_employees WHERE id = 7") == [(7, "Name 7", AT, 1, 1)]


def test_each_row_that_breaks_a_rule_is_rejected_alone(with_parents: Landing) -> None:
    records = [
        employee(1),
        employee(None),
        employee(3, Name=None, hire_date=None),
        employee(2**31),
        employee(5, Name="#REF!"),
        employee(6, Name="\u200b"),
        employee(7, Name="\ufeffAnn\u00ad "),
        employee(8, department_id=9),
        employee(9, job_id=0),
    ]
    load = with_parents.upload("hired_employees.avro", of_spark(*records))
    assert counts(load) == (9, 2, 0, 0, 0, 7)
    assert {reject["line"]: reject["reasons"] for reject in with_parents.rejects(load)} == {
        2: ["id is missing"],
        3: ["name is missing", "datetime is missing"],
        4: ["id is not a whole number from 1 to 2147483647"],
        5: ["name is an error of Excel: correct the formula in its cell"],
        6: ["name is missing"],
        8: ["department_id 9 does not exist"],
        9: ["job_id is not a whole number from 1 to 2147483647"],
    }
    assert with_parents.rows("SELECT id, name FROM hired_employees ORDER BY id") == [(1, "Name 1"), (7, "Ann")]


def test_a_row_waits_for_its_parent(with_parents: Landing) -> None:
    load = with_parents.upload(
        "hired_employees.avro", of_spark(*(employee(n, department_id=n % 3) for n in range(1, 8)))
    )
    assert counts(load) == (7, 3, 0, 0, 0, 4)
    with_parents.upload("departments.csv", "2,Ops\n")
    assert with_parents.load(load["id"])["resolved"] == 2
    assert with_parents.scalar("SELECT count(*) FROM hired_employees WHERE department_id = 2") == 2


def test_a_large_file_is_continued_by_the_next_invocation(with_parents: Landing) -> None:
    records = [employee(n if n % 10 else None) for n in range(1, 9001)]
    event = with_parents.put("hired_employees.avro", of_spark(*records))
    [created] = created_objects(event)
    handovers: list[int] = []
    policy = HandoverPolicy(0, lambda: handovers.append(1), margin=60, lines=1000)
    ingestion = Ingestion(with_parents.database, with_parents.s3.storage, GRACE, policy)
    tries = 0
    while not ingest_object(ingestion, created, seconds=70 if tries < 2 else 10_000):
        tries += 1
    load = with_parents.load()
    assert len(handovers) == 2
    assert counts(load) == (9000, 8100, 0, 0, 0, 900)
    assert [reject["line"] for reject in with_parents.rejects(load)] == list(range(10, 9001, 10))


def test_a_check_returns_the_same_result_as_the_load(with_parents: Landing) -> None:
    data = of_spark(employee(1), employee(2, Name=None), employee(3, job_id=9), employee(1, Name="Newer"))
    checked = dry_run(with_parents.database, DATASETS["hired_employees"], data, limit=10)
    load = with_parents.upload("hired_employees.avro", data)
    assert {name: load[name] for name in vars(checked.counts)} == vars(checked.counts)
    assert [(r["line"], r["reasons"]) for r in sorted(checked.rejects, key=lambda reject: str(reject["line"]))] == [
        (r["line"], r["reasons"]) for r in with_parents.rejects(load)
    ]
    assert counts(load) == (4, 1, 0, 0, 1, 2)


def test_a_file_without_a_valid_row_fails_and_keeps_its_rejects(with_parents: Landing) -> None:
    load = with_parents.upload("hired_employees.avro", of_spark(employee(None), employee(None)))
    assert (load["status"], load["received"], load["rejected"]) == ("failed", 2, 2)
    assert load["error"] == "no row could be loaded: id is missing (each row)"
    assert len(with_parents.rejects(load)) == 2


def test_more_rejects_than_were_declared_fail_the_file(with_parents: Landing) -> None:
    event = with_parents.put("hired_employees.avro", b"")
    data = of_spark(employee(1), employee(None), employee(None))
    stored = with_parents.s3.client.put_object(
        Bucket=LANDING, Key="hired_employees.avro", Body=data, Metadata={"max-rejected": "1"}
    )
    event["Records"][0]["s3"]["object"] |= {"versionId": stored["VersionId"], "eTag": stored["ETag"].strip('"')}
    with_parents.deliver(event)
    load = with_parents.load()
    assert (load["status"], load["received"], load["rejected"]) == ("failed", 3, 2)
    assert "more than max-rejected=1 allows" in load["error"]


def test_a_field_that_cannot_be_read_fails_the_load_at_once(with_parents: Landing) -> None:
    schema = avro.schema(DATASETS["hired_employees"])
    schema["fields"][2]["type"] = "long"
    file = io.BytesIO()
    fastavro.writer(file, schema, [])
    load = with_parents.upload("hired_employees.avro", file.getvalue())
    assert (load["kind"], load["status"], load["attempts"], load["received"]) == ("avro", "failed", 1, 0)
    assert load["error"] == (
        "the Avro schema is not that of hired_employees: datetime is long: declare it as timestamp-micros or"
        " timestamp-millis"
    )


@pytest.mark.parametrize("body", [b"", b"Ob", b"1,Clerk\n"])
def test_a_check_of_text_that_is_called_avro_refuses_it_as_its_load_does(
    api: Api, landing: Landing, body: bytes
) -> None:
    load = landing.upload("jobs.avro", body)
    checked = api.send("POST", "/uploads/check?dataset=jobs", body, {"Content-Type": "application/avro"})
    assert (checked.status, checked.body["detail"]) == (422, load["error"])
    assert "the file is not an Avro file" in load["error"]
    file = io.BytesIO()
    avro.write(DATASETS["jobs"], [((1,), ("Clerk",))], file)
    checked = api.send("POST", "/uploads/check?dataset=jobs", file.getvalue(), {"Content-Type": "application/avro"})
    assert (checked.status, checked.body["inserted"]) == (200, 1)


# --- Restore points

STORED = [
    (1, "#REF!"),
    (2, "\u200bClerk\u00ad"),
    (3, " padded "),
    (4, ""),
    (5, "\u200b"),
    (6, "x" * 10_001),
    (7, "Plain"),
]


def test_a_restore_brings_back_texts_that_the_rules_would_change_or_reject(landing: Landing) -> None:
    with landing.database.session() as session:
        for number, job in STORED:
            session.run("INSERT INTO jobs VALUES (:id, :job)", id=number, job=job)
    back_up(landing)
    run(landing, "UPDATE jobs SET job = 'changed' WHERE id < 4; DELETE FROM jobs WHERE id > 3")
    assert counts(restore(landing, "jobs")) == (7, 4, 3, 0, 0, 0)
    assert landing.rows("SELECT * FROM jobs ORDER BY id") == STORED


def test_a_restore_of_children_keeps_their_texts_and_checks_their_keys(with_parents: Landing) -> None:
    run(
        with_parents,
        "INSERT INTO departments VALUES (2, 'Gone');"
        " INSERT INTO hired_employees VALUES (1, '#N/A', now(), 1, 1), (2, '\u200b', now(), 2, 1)",
    )
    back_up(with_parents)
    run(with_parents, "DELETE FROM hired_employees; DELETE FROM departments WHERE id = 2")
    load = restore(with_parents, "hired_employees")
    assert counts(load) == (2, 1, 0, 0, 0, 1)
    assert [reject["reasons"] for reject in with_parents.rejects(load)] == [["department_id 2 does not exist"]]
    run(with_parents, "INSERT INTO departments VALUES (2, 'Back')")
    assert counts(restore(with_parents, "hired_employees")) == (2, 1, 0, 1, 0, 0)
    assert with_parents.rows("SELECT id, name FROM hired_employees ORDER BY id") == [(1, "#N/A"), (2, "\u200b")]


def test_all_rules_apply_to_the_same_file_if_it_is_not_a_restore(landing: Landing) -> None:
    file = io.BytesIO()
    avro.write(DATASETS["jobs"], [tuple(zip(*STORED, strict=True))], file)
    load = landing.upload("jobs.avro", file.getvalue())
    assert counts(load) == (7, 3, 0, 0, 0, 4)
    assert landing.rows("SELECT * FROM jobs ORDER BY id") == [(2, "Clerk"), (3, "padded"), (7, "Plain")]
