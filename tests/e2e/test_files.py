"""Tests how a deployed stage loads CSV files from its landing bucket."""

import gzip
import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chalicelib.core.datasets import DATASETS
from infra.sample import File, Sample, sample
from tests.e2e.cloud import Cloud, Row, counts, until

SAMPLE = sample()
REAL = Path(os.environ.get("HIREFLOW_CHALLENGE_DATA", "/nonexistent"))


def upload_all(cloud: Cloud, files: Sample) -> list[Row]:
    """Upload all files in order, and wait for each load. Then wait until the waiting rows whose parents have come are
    in the table. Return the loads."""
    loads = [cloud.upload(file.key, file.body) for file in files.files]
    early = loads[0]["id"]
    loads[0] = until(
        lambda: (load := cloud.load(early)) and load["resolved"] == load["rejected"] and load, "the parents"
    )
    return loads


def reasons_by_line(rejects: list[Row]) -> dict[int, tuple[str, ...]]:
    return {reject["line"]: tuple(reject["reasons"]) for reject in rejects}


def test_the_sample_has_the_planted_counts_and_rejects(cloud: Cloud) -> None:
    loads = upload_all(cloud, SAMPLE)
    for name in ("departments", "jobs", "hired_employees"):
        assert cloud.table(name) == sorted(SAMPLE.rows(name).values(), key=lambda row: str(row[0]).zfill(10))
    for file, load in zip(SAMPLE.files[1:], loads[1:], strict=True):
        assert load["status"] == "succeeded"
        assert (load["dataset"], load["kind"], load["attempts"]) == (file.dataset, "csv", 1)
        planted = (file.received, len(file.rows), 0, 0, file.superseded, len(file.rejects))
        assert counts(load) == planted
        assert reasons_by_line(cloud.rejects(load)) == file.rejects
    assert counts(loads[0]) == (len(SAMPLE.early.rows), 0, 0, 0, 0, len(SAMPLE.early.rows))


def _with_bom(text: bytes) -> bytes:
    return b"\xef\xbb\xbf" + text


def _with_header(text: bytes) -> bytes:
    return b"ID,Name,DateTime,Department_ID,Job_ID\n" + text


def _quoted(text: bytes) -> bytes:
    return b"".join(b",".join(b'"%s"' % field for field in line.split(b",")) + b"\n" for line in text.splitlines())


VARIANTS: dict[str, tuple[str, Any]] = {
    "bom": ("x.csv", _with_bom),
    "crlf": ("x.csv", lambda text: text.replace(b"\n", b"\r\n")),
    "header": ("x.csv", _with_header),
    "quotes": ("x.csv", _quoted),
    "gzip": ("x.csv.gz", gzip.compress),
    "no last newline": ("x.csv", lambda text: text.rstrip(b"\n")),
    "all together": (
        "x.csv.gz",
        lambda text: gzip.compress(_with_bom(_with_header(_quoted(text)).replace(b"\n", b"\r\n"))),
    ),
}


def test_the_same_rows_in_another_file_format_are_unchanged(cloud: Cloud) -> None:
    """The plain file is loaded first. Then the load of each other format counts all rows as unchanged and writes
    nothing."""
    rows = [(i, f"Ann {i}", f"2021-0{1 + i % 9}-15T10:00:00Z", 1 + i % 2, 1) for i in range(1, 301)]
    text = "".join(",".join(map(str, row)) + "\n" for row in rows).encode() + b"301,,2021-01-01T00:00:00Z,1,\n"
    cloud.upload("departments.csv", "1,Sales\n2,Ops\n")
    cloud.upload("jobs.csv", "1,Clerk\n")
    first = cloud.upload("hired_employees.csv", text)
    assert counts(first) == (301, 300, 0, 0, 0, 1)
    stored = cloud.sql("SELECT ctid, xmin, * FROM hired_employees ORDER BY id")
    for name, (suffix, encode) in VARIANTS.items():
        load = cloud.upload(f"variants/{name}/hired_employees_{suffix}", encode(text))
        assert (name, counts(load)) == (name, (301, 0, 0, 300, 0, 1))
        [reject] = cloud.rejects(load)
        assert reject["reasons"] == ["name is missing", "job_id is missing"]
    assert cloud.sql("SELECT ctid, xmin, * FROM hired_employees ORDER BY id") == stored


@pytest.mark.parametrize("key", ["a/b c/departments+é (1)&=%25.csv", "departments 2021.csv"])
def test_a_key_may_have_any_characters(cloud: Cloud, key: str) -> None:
    load = cloud.upload(key, "1,Sales\n,x\n")
    assert (load["status"], load["source"]) == ("succeeded", f"s3://{cloud.env['LANDING_BUCKET']}/{key}")
    [reject] = cloud.rejects(load)
    assert reject["source"] == load["source"]


@pytest.mark.parametrize("key", ["salaries.csv", "departments.pdf"])
def test_the_load_of_any_other_object_fails_and_the_object_stays(cloud: Cloud, key: str) -> None:
    load = cloud.upload(key, "1,Sales\n")
    assert (load["status"], load["dataset"] in (None, "departments")) == ("failed", True)
    assert "is not a file that Hireflow loads" in load["error"]
    assert cloud.s3.get_object(Bucket=cloud.env["LANDING_BUCKET"], Key=key)["Body"].read() == b"1,Sales\n"


def test_a_folder_causes_no_load(cloud: Cloud) -> None:
    before = cloud.newest_load()
    cloud.put("departments.csv/", "")
    last = cloud.upload("departments_after.csv", "")
    assert [load["id"] for load in cloud.get("/loads").body["loads"] if load["id"] > before] == [last["id"]]


def test_files_uploaded_together_load_in_any_order(cloud: Cloud) -> None:
    before = cloud.newest_load()
    employees = "".join(f"{i},Ann,2021-01-01T00:00:00Z,{1 + i % 50},{1 + i % 40}\n" for i in range(1, 1001))
    sources = [
        cloud.put("together/hired_employees.csv", employees),
        cloud.put("together/jobs.csv", "".join(f"{i},Job {i}\n" for i in range(1, 41))),
        cloud.put("together/departments.csv", "".join(f"{i},Department {i}\n" for i in range(1, 51))),
    ]
    loads = [cloud.ended(source, before) for source in sources]
    assert [load["status"] for load in loads] == ["succeeded"] * 3
    until(lambda: cloud.sql("SELECT count(*) FROM hired_employees") == [(1000,)], "all employees")
    employees_load = cloud.load(loads[0]["id"])
    assert employees_load["inserted"] + employees_load["resolved"] == 1000


def test_a_new_version_causes_another_load_and_a_repeated_event_does_not(cloud: Cloud) -> None:
    load = cloud.upload("departments.csv", "1,Sales\n")
    bucket = cloud.env["LANDING_BUCKET"]
    head = cloud.s3.head_object(Bucket=bucket, Key="departments.csv")
    item = {"key": "departments.csv", "versionId": head["VersionId"], "eTag": head["ETag"].strip('"')}
    event = {"Records": [{"s3": {"bucket": {"name": bucket}, "object": item}}]}
    cloud.sql("UPDATE departments SET department = 'Changed since'")
    cloud.invoke("ingest", event)
    assert cloud.newest_load() == load["id"]
    assert cloud.table("departments") == [(1, "Changed since")]
    again = cloud.upload("departments.csv", "1,Sales\n")
    assert counts(again) == (1, 0, 1, 0, 0, 0)
    cloud.invoke("ingest", event)
    assert cloud.newest_load() == again["id"]


def test_duckdb_reads_a_reject_file(cloud: Cloud, tmp_path: Path) -> None:
    for parent in SAMPLE.parents:
        cloud.upload(parent.key, parent.body)
    planted: File = next(file for file in SAMPLE.files if file.key.endswith("2021.csv"))
    load = cloud.upload(planted.key, planted.body)
    path = tmp_path / "rejects.ndjson"
    path.write_bytes(cloud.reject_file(load))
    with duckdb.connect() as connection:
        table = connection.read_json(str(path), format="newline_delimited")
        columns = dict(zip(table.columns, table.types, strict=True))
        stored = table.select("line, reasons").fetchall()
    types = {name: str(kind) for name, kind in columns.items()}
    row = {name: str(kind) for name, kind in columns["row"].children}
    assert row == dict.fromkeys(DATASETS["hired_employees"].column_names, "VARCHAR")
    assert (types["load_id"], types["line"], types["raw"]) == ("BIGINT", "BIGINT", "VARCHAR")
    assert (types["reasons"], types["fields"]) == ("VARCHAR[]", "VARCHAR[]")
    assert types["rejected_at"] == "TIMESTAMP WITH TIME ZONE"
    assert len(stored) == load["rejected"]
    assert {line: tuple(reasons) for line, reasons in stored} == planted.rejects


@pytest.mark.skipif(
    not REAL.is_dir(), reason="HIREFLOW_CHALLENGE_DATA does not name the folder of the challenge's files"
)
def test_the_files_of_the_challenge_are_loaded(cloud: Cloud) -> None:
    """The data model comes from a public data-engineering challenge. The files of the challenge are not part of this
    repository."""
    loads = {
        name: cloud.upload(f"challenge/{name}.csv", (REAL / f"{name}.csv").read_bytes())
        for name in ("hired_employees", "jobs", "departments")
    }
    sizes = {"departments": 12, "jobs": 183, "hired_employees": 1929}
    for name, rows in sizes.items():
        until(lambda name=name, rows=rows: cloud.sql(f"SELECT count(*) FROM {name}") == [(rows,)], name)  # type: ignore[misc]
    load = cloud.load(loads["hired_employees"]["id"])
    assert load["rejected"] - load["resolved"] == 70
    again = cloud.upload("challenge/hired_employees_again.csv", (REAL / "hired_employees.csv").read_bytes())
    assert counts(again) == (1999, 0, 0, 1929, 0, 70)
    fields = Counter(field for reject in cloud.rejects(again) for field in reject["fields"])
    assert fields == {"name": 19, "datetime": 14, "department_id": 21, "job_id": 16}
    top = cloud.get("/department/hires/top/2021").body
    assert [(row["department"], row["hired"]) for row in top] == [
        ("Support", 216),
        ("Engineering", 205),
        ("Human Resources", 201),
        ("Services", 200),
        ("Business Development", 185),
        ("Research and Development", 148),
        ("Marketing", 142),
    ]
    quarterly = cloud.get("/department/hires/quarterly/2021").body
    assert len(quarterly) == 933
    assert [sum(row[quarter] for row in quarterly) for quarter in ("q1", "q2", "q3", "q4")] == [249, 454, 453, 487]


def test_reports_count_quarters_in_utc(cloud: Cloud) -> None:
    upload_all(cloud, SAMPLE)
    expected: Counter[tuple[str, str, int]] = Counter()
    names = {row[0]: str(row[1]) for row in SAMPLE.rows("departments").values()}
    jobs = {row[0]: str(row[1]) for row in SAMPLE.rows("jobs").values()}
    for _, _, at, department, job in SAMPLE.rows("hired_employees").values():
        assert isinstance(at, datetime)
        if at.year == 2021:
            expected[(names[department], jobs[job], (at.month + 2) // 3)] += 1
    report = cloud.get("/department/hires/quarterly/2021").body
    reported = {(row["department"], row["job"], q): row[f"q{q}"] for row in report for q in range(1, 5) if row[f"q{q}"]}
    assert reported == dict(expected)
    assert [(row["department"], row["job"]) for row in report] == sorted({key[:2] for key in expected})
    hired = Counter({name: sum(n for (d, _, _), n in expected.items() if d == name) for name in names.values()})
    active = [n for n in hired.values() if n]
    above = {name: n for name, n in hired.items() if n > sum(active) / len(active)}
    top = cloud.get("/department/hires/top/2021").body
    assert {row["department"]: row["hired"] for row in top} == above
    assert [(-row["hired"], row["id"]) for row in top] == sorted((-row["hired"], row["id"]) for row in top)


def test_a_damaged_file_leaves_no_rows_and_no_rejects(cloud: Cloud) -> None:
    load = cloud.upload("departments.csv.gz", gzip.compress(b"1,Sales\nx,y\n")[:-4])
    assert (load["status"], load["attempts"], load["errored_key"]) == ("failed", 1, None)
    assert cloud.table("departments") == []
    assert json.dumps(cloud.rejects(load)) == "[]"


def test_a_load_and_a_check_refuse_a_file_with_a_wrong_header(cloud: Cloud) -> None:
    body = b"id,name,datetime,job_id\n1,Ann,2021-07-27,1\n"
    refusal = (
        "the header names id, name, datetime, job_id: department_id is missing; this file must have"
        " id, name, datetime, department_id, job_id, in any order"
    )
    load = cloud.upload("hired_employees_incomplete.csv", body)
    assert (load["status"], load["error"], load["attempts"]) == ("failed", refusal, 1)
    assert cloud.table("hired_employees") == []
    response = cloud.send("POST", "/uploads/check?dataset=hired_employees", body, {"Content-Type": "text/csv"})
    assert (response.status, response.body["detail"]) == (422, refusal)


FILES = [
    ("departments_excel.csv", "sep=;\r\nID;Department\r\n9101;Vertrieb, Nord\r\n".encode("utf-16"), {}),
    ("Department-2021.TXT", b"department\tid\nSales\t9102\n", {}),
    ("departments/export.csv", "9103|Caf\xe9\n".encode("windows-1252"), {"encoding": "windows-1252"}),
    ("departments_numbers.csv.gz", gzip.compress(b"dept_id,note,Dept Name\r9104.0,x,Ops\r", mtime=0), {}),
]


@pytest.mark.parametrize(("key", "body", "declared"), FILES, ids=[key for key, *_ in FILES])
def test_files_in_other_dialects_are_loaded(cloud: Cloud, key: str, body: bytes, declared: dict[str, str]) -> None:
    load = cloud.upload(key, body, metadata=declared)
    assert (load["status"], load["inserted"], load["rejected"]) == ("succeeded", 1, 0), load


def test_if_no_row_can_be_loaded_the_load_fails_and_keeps_its_rejects(cloud: Cloud) -> None:
    load = cloud.upload("departments_wrong.csv", b"a,Sales\nb,Ops\n")
    assert (load["status"], load["received"], load["rejected"], load["attempts"]) == ("failed", 2, 2, 1)
    assert load["error"].startswith("no row could be loaded: id is not a whole number")
    rejects = cloud.get(f"/loads/{load['id']}/rejects").body
    assert [reject["line"] for reject in rejects["rejects"]] == [1, 2]
