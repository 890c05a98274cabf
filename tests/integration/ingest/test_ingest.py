"""Loads objects from the landing bucket. Tests which rows are loaded, which rows are rejected, and the counts of the
load."""

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.core.datasets import DATASETS
from chalicelib.core.reasons import NOT_A_DATETIME, QUOTE_INSIDE
from chalicelib.formats.csv_reader import NEVER_CLOSED, TOO_LONG
from tests.integration.landing import Landing, counts

DEPARTMENTS = "1,Sales\n2,Ops\n3,IT\n"
JOBS = "1,Clerk\n2,Smith\n"


def parents(landing: Landing) -> None:
    landing.upload("departments.csv", DEPARTMENTS)
    landing.upload("jobs.csv", JOBS)


@pytest.mark.parametrize(
    "key", ["departments.csv", "departments_2021-07.csv", "a/b c/departments+x.csv", "departments.csv.gz"]
)
def test_a_file_is_loaded_by_its_base_name(landing: Landing, key: str) -> None:
    load = landing.upload(key, DEPARTMENTS)
    assert (load["dataset"], load["kind"], load["status"], load["attempts"]) == ("departments", "csv", "succeeded", 1)
    assert counts(load) == (3, 3, 0, 0, 0, 0)
    assert load["errored_key"] is None
    assert landing.s3.keys("test-errored") == []
    assert landing.rows("SELECT * FROM departments ORDER BY id") == [(1, "Sales"), (2, "Ops"), (3, "IT")]


@pytest.mark.parametrize(
    "key", ["notes.csv", "departments.pdf", "x/department/1.csv", "my_departments.csv", "departments.csv.zip"]
)
def test_any_other_object_is_a_failed_load(landing: Landing, key: str) -> None:
    load = landing.upload(key, DEPARTMENTS)
    assert load["status"] == "failed"
    assert "is not a file that Hireflow loads" in load["error"]
    assert landing.scalar("SELECT count(*) FROM departments") == 0


def test_folders_are_ignored(landing: Landing) -> None:
    landing.deliver(landing.put("departments.csv/", ""))
    assert landing.loads() == 0


@pytest.mark.parametrize("body", ["", "\n\n", "id,department\n", "\ufeff"])
def test_the_load_of_a_file_without_rows_succeeds(landing: Landing, body: str) -> None:
    load = landing.upload("departments.csv", body)
    assert (load["status"], *counts(load)) == ("succeeded", 0, 0, 0, 0, 0, 0)


def test_rows_are_inserted_updated_unchanged_and_superseded(landing: Landing) -> None:
    landing.upload("departments.csv", DEPARTMENTS)
    load = landing.upload("departments.csv", "1,Sales\n2,Operations\n4,HR\n4,People\n4,\nx,y\n")
    assert counts(load) == (6, 1, 1, 1, 1, 2)
    expected = [(1, "Sales"), (2, "Operations"), (3, "IT"), (4, "People")]
    assert landing.rows("SELECT * FROM departments ORDER BY id") == expected


def test_loading_the_same_rows_again_writes_no_row(landing: Landing) -> None:
    parents(landing)
    body = "1,Ann,2021-07-27T16:02:08Z,1,1\n2,Bo,2021-07-27T18:02:08+02:00,2,2\n"
    landing.upload("hired_employees.csv", body)
    before = landing.rows("SELECT ctid, xmin, * FROM hired_employees")
    versions = landing.rows("SELECT * FROM dataset_state ORDER BY 1")
    again = landing.upload("hired_employees_again.csv.gz", body)
    assert counts(again) == (2, 0, 0, 2, 0, 0)
    assert landing.rows("SELECT ctid, xmin, * FROM hired_employees") == before
    assert landing.rows("SELECT * FROM dataset_state ORDER BY 1") == versions


ADVERSARIAL: list[tuple[bytes, list[str]]] = [
    (b"x,Ann,2021-07-27T16:02:08Z,1,1", ["id is not a whole number from 1 to 2147483647"]),
    (b"0,Ann,2021-07-27T16:02:08Z,1,1", ["id is not a whole number from 1 to 2147483647"]),
    (b"2147483648,Ann,2021-07-27T16:02:08Z,1,1", ["id is not a whole number from 1 to 2147483647"]),
    (b",Ann,2021-07-27T16:02:08Z,1,1", ["id is missing"]),
    (b"9,,2021-07-27T16:02:08Z,1,1", ["name is missing"]),
    (b"9,\xc2\xa0,2021-07-27T16:02:08Z,1,1", ["name is missing"]),
    (b"9,Ann,2021-02-29T16:02:08Z,1,1", [f"datetime {NOT_A_DATETIME}"]),
    (b"9,Ann,0001-01-01T00:00:00+01:00,1,1", ["datetime is outside the years 1 to 9999"]),
    (b"9,Ann,2021-07-27T16:02:08Z,99,1", ["department_id 99 does not exist"]),
    (b"9,Ann,2021-07-27T16:02:08Z,99,98", ["department_id 99 does not exist", "job_id 98 does not exist"]),
    (b"9,,2021-07-27T16:02:08Z,99,", ["name is missing", "job_id is missing", "department_id 99 does not exist"]),
    (b"9,Ann,2021-07-27T16:02:08Z,1", ["expected 5 fields, found 4"]),
    (b"9,Ann,2021-07-27T16:02:08Z,1,1,1", ["expected 5 fields, found 6"]),
    (b"9,Smith, Ann,2021-07-27T16:02:08Z,1,1", ["expected 5 fields, found 6"]),
    (b"9,A\xffn,2021-07-27T16:02:08Z,1,1", ["name is not valid UTF-8"]),
    (b"9,A\0n,2021-07-27T16:02:08Z,1,1", ["name contains a NUL character"]),
    (b'9,A"nn",2021-07-27T16:02:08Z,1,1', [str(QUOTE_INSIDE)]),
    (b"9," + b"x" * 10_001 + b",2021-07-27T16:02:08Z,1,1", ["name is longer than 10000 characters"]),
    (b"9," + b"x" * 1_048_577 + b",2021-07-27T16:02:08Z,1,1", [TOO_LONG.text]),
    (b"\\.", ["expected 5 fields, found 1"]),
    (b'9,"Ann,2021-07-27T16:02:08Z,1,1', [NEVER_CLOSED.text]),  # last, because a later quote would close the field
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_no_bad_line_causes_the_loss_of_a_good_line(landing: Landing, end: bytes) -> None:
    parents(landing)
    body = b""
    for number, (bad, _) in enumerate(ADVERSARIAL, 100):
        body += b"%d,Good %d,2021-07-27T16:02:08Z,1,2" % (number, number) + end + bad + end
    load = landing.upload("hired_employees.csv", body + b"999,Last,2021-07-27,1,2")
    bad_rows = len(ADVERSARIAL)
    assert counts(load) == (2 * bad_rows + 1, bad_rows + 1, 0, 0, 0, bad_rows)
    assert landing.scalar("SELECT count(*) FROM hired_employees") == bad_rows + 1
    reasons_by_line = {reject["line"]: reject["reasons"] for reject in landing.rejects(load)}
    assert reasons_by_line == {2 * i: reasons for i, (_, reasons) in enumerate(ADVERSARIAL, 1)}


def test_a_reject_has_the_documented_shape(landing: Landing) -> None:
    parents(landing)
    body = b'1,Ann,2021-07-27T16:02:08Z,1,1\n2,"Ty ""T""",2021-05-30T05:43:46Z,8,\n\xff,a\n3,Bo,2021-07-27, 7 ,"1"\n'
    load = landing.upload("in/hired_employees_1.csv", body)
    second, third, fourth = sorted(landing.rejects(load), key=lambda reject: reject["line"])
    assert landing.s3.keys("test-errored") == [load["errored_key"]]
    stamp = load["started_at"].strftime("%Y%m%dT%H%M%S.%fZ")
    assert load["errored_key"] == f"hired_employees/{stamp}-{load['id']}.ndjson"
    assert second.pop("rejected_at").endswith("Z")
    assert second == {
        "load_id": load["id"],
        "dataset": "hired_employees",
        "source": "s3://test-landing/in/hired_employees_1.csv",
        "line": 2,
        "reasons": ["job_id is missing", "department_id 8 does not exist"],
        "fields": ["job_id", "department_id"],
        "codes": ["missing", "unknown_parent"],
        "raw": '2,"Ty ""T""",2021-05-30T05:43:46Z,8,',
        "row": {"id": "2", "name": 'Ty "T"', "datetime": "2021-05-30T05:43:46Z", "department_id": "8", "job_id": ""},
    }
    assert (third["raw"], third["raw_base64"], third["row"]) == ("\ufffd,a", "/yxh", None)
    assert (fourth["raw"], fourth["reasons"]) == ('3,Bo,2021-07-27, 7 ,"1"', ["department_id 7 does not exist"])
    assert fourth["row"]["department_id"] == " 7 "


def test_a_truncated_gzip_file_loads_no_row(landing: Landing, caplog: pytest.LogCaptureFixture) -> None:
    event = landing.put("departments.csv.gz", "".join(f"{n},Department {n}\n" for n in range(1, 50_000)))
    whole = landing.s3.client.get_object(Bucket="test-landing", Key="departments.csv.gz")["Body"].read()
    assert len(whole) > 1000
    landing.s3.client.put_object(Bucket="test-landing", Key="departments_cut.csv.gz", Body=whole[:-1000])
    event["Records"][0]["s3"]["object"] |= {"key": "departments_cut.csv.gz", "versionId": None}
    landing.deliver(event)
    load = landing.load()
    assert (load["status"], load["rejected"]) == ("failed", 0)
    assert "not a complete gzip file" in load["error"]
    assert landing.scalar("SELECT count(*) FROM departments") == 0
    [logged] = caplog.messages  # the broken connection must not cause a second message
    assert load["error"] in logged


def test_the_tables_have_foreign_keys(landing: Landing) -> None:
    parents(landing)
    landing.upload("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    with (
        landing.database.session() as session,
        pytest.raises(DatabaseError, match="hired_employees_department_id_fkey"),
    ):
        session.run("DELETE FROM departments WHERE id = 1")


def test_any_text_is_stored_unchanged(landing: Landing) -> None:
    names = [
        'a"b',
        "c,d",
        "e\nf",
        "g\\h",
        "\\N",
        "\\.",
        "tab\tx",
        "é",
        "日本",
        "😀",
        "x\u2028y",
        "\x01\x7f",
        "'; --",
        "a\rb",
    ]
    quoted = (f'{n},"{name.replace(chr(34), chr(34) * 2)}"\n' for n, name in enumerate(names, 1))
    load = landing.upload("departments.csv", "".join(quoted))
    assert load["rejected"] == 0
    assert [name for [name] in landing.rows("SELECT department FROM departments ORDER BY id")] == names


def test_every_dataset_is_loaded_by_the_same_code(landing: Landing) -> None:
    for dataset in DATASETS:
        assert landing.upload(f"{dataset}.csv", "")["dataset"] == dataset
