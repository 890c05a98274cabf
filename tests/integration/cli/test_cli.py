"""Tests the command line with a fake API, which sends prepared responses."""

import fcntl
import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.api import Api
from cli.app import app
from cli.commands.stage import ROLES
from cli.datasets import DATASETS
from cli.statuses import STATUSES
from infra.venv import ROOT
from tests.integration.fake_api import FakeApi, fake_api

Run = Callable[..., Result]
TOKEN = "hf_0123456789abcdef_secret"
POINT = "20210727T160208.123456Z"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as fake:
        yield fake


@pytest.fixture
def run(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("STAGE", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    env = {"API_URL": api.url, "API_TOKEN": TOKEN, "HIREFLOW_STATE_DIR": str(tmp_path / "nothing")}
    return lambda *words, **changes: CliRunner(env={**env, **changes}).invoke(app, list(words))


def load(load_id: int, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    counts = {"received": 3, "inserted": 1, "updated": 1, "unchanged": 0, "superseded": 0, "rejected": 1, "resolved": 0}
    return {
        "id": load_id,
        "dataset": "jobs",
        "source": f"s3://landing/uploads/{load_id}/jobs.csv",
        "kind": "csv",
        "status": status,
        **counts,
        "attempts": 1,
        "created_at": "2021-07-27T16:02:08.123456Z",
        "error": None,
        **changes,
    }


def rejects(load_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "load_id": load_id,
        "rejected": 1,
        "resolved": 0,
        "reasons": [{"reason": "job is missing", "code": "missing", "count": 1}],
        "rejects": [{"line": 2, "reasons": ["job is missing"], "fields": ["job"], "raw": "2,\x1b[2J", "row": None}],
        "url": None,
        "expires_at": None,
        **changes,
    }


def expect_upload(api: FakeApi, load_id: int, ended: dict[str, Any], name: str = "jobs.csv") -> None:
    order = {
        "load_id": load_id,
        "status_url": f"/loads/{load_id}",
        "url": f"{api.url}/landing{load_id}",
        "fields": {"key": f"uploads/{load_id}/{name}", "policy": "cG9saWN5", "x-amz-signature": "abc"},
        "key": f"uploads/{load_id}/{name}",
        "expires_at": "2021-07-27T17:02:08Z",
    }
    api.on("POST", "/uploads", order, 201)
    api.on("POST", f"/landing{load_id}", b"", 204)
    api.on("GET", f"/loads/{load_id}", load(load_id, "queued", received=0, rejected=0))
    api.on("GET", f"/loads/{load_id}", load(load_id, "running"))
    api.on("GET", f"/loads/{load_id}", ended)
    api.on("GET", f"/loads/{load_id}/rejects", rejects(load_id))


def write(name: str, text: str = "1,Clerk\n2,\n3,Recruiter\n") -> str:
    Path(name).write_text(text)
    return name


# --- upload


def test_upload_sends_the_form_with_the_file_and_follows_the_load(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    done = run("upload", write("jobs.csv"))
    assert done.exit_code == 0, done.output
    assert api.to("/uploads")[0].json == {"dataset": "jobs", "filename": "jobs.csv", "size": 23}
    [sent] = api.to("/landing7")
    assert sent.form[:-1] == [
        ("key", None, b"uploads/7/jobs.csv"),
        ("policy", None, b"cG9saWN5"),
        ("x-amz-signature", None, b"abc"),
    ]
    assert sent.form[-1] == ("file", "jobs.csv", b"1,Clerk\n2,\n3,Recruiter\n")
    assert done.stdout.splitlines()[:2] == [
        "jobs.csv: load 7 succeeded",
        "  3 received: 1 inserted, 1 updated, 0 unchanged, 0 superseded, 1 rejected",
    ]
    assert "job is missing" in done.stdout
    assert done.stderr == ""


def test_an_upload_of_a_file_without_rows_says_so(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7, received=0, inserted=0, updated=0, rejected=0))
    done = run("upload", write("jobs.csv", ""))
    assert (done.exit_code, done.stdout) == (0, "jobs.csv: load 7 succeeded\n  it had no rows\n")


def test_an_upload_that_was_given_up_says_what_to_do(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7, "failed", error="gave up after 3 attempts: the disk of the database is full"))
    assert "then loads the file again: make redrive" in run("upload", write("jobs.csv")).stdout


def test_an_upload_goes_on_if_rejects_cannot_be_shown(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    expect_upload(api, 8, load(8, rejected=0), "hired_employees.csv")
    api.forget("GET", "/loads/7/rejects")
    done = run("upload", write("jobs.csv"), write("hired_employees.csv"))
    assert done.exit_code == 0
    assert "hired_employees.csv: load 8 succeeded" in done.stdout
    assert done.stderr.startswith("error: the rejects of load 7 cannot be shown: 403 ")


def test_the_token_is_sent_only_to_the_api(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    run("upload", write("jobs.csv"))
    authorised = {asked.path: asked.headers.get("Authorization") for asked in api.asked}
    assert authorised.pop("/landing7") is None
    assert set(authorised.values()) == {f"Bearer {TOKEN}"}


def test_control_characters_of_a_file_are_escaped(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    done = run("upload", write("jobs.csv"))
    assert "2,\\x1b[2J" in done.stdout
    assert "\x1b" not in done.output


@pytest.mark.parametrize(
    ("ended", "options", "status"),
    [
        (load(7), [], 0),
        (load(7), ["--strict"], 1),
        (load(7, resolved=1), ["--strict"], 0),
        (load(7, rejected=0), ["--strict"], 0),
        (load(7, "skipped"), [], 0),
        (load(7, "failed", error="gave up after 3 attempts"), [], 1),
    ],
)
def test_the_exit_status_of_an_upload_is_the_outcome_of_its_load(
    api: FakeApi, run: Run, ended: dict[str, Any], options: list[str], status: int
) -> None:
    expect_upload(api, 7, ended)
    done = run("upload", write("jobs.csv"), *options)
    assert done.exit_code == status, done.output
    assert (ended["error"] or "") in done.stdout


def test_no_wait_reports_queued_loads_and_ends(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    done = run("upload", write("jobs.csv"), "--no-wait")
    assert (done.exit_code, done.stdout) == (0, "jobs.csv: load 7 queued\n")
    assert not api.to("/loads/7")


def test_children_are_sent_after_the_loads_of_their_parents_have_ended(api: FakeApi, run: Run) -> None:
    for number, name in ((7, "jobs.csv"), (8, "departments.csv"), (9, "hired_employees.csv")):
        expect_upload(api, number, load(number, rejected=0), name)
    names = [write(name) for name in ("hired_employees.csv", "jobs.csv", "departments.csv")]
    assert run("upload", *names).exit_code == 0
    assert [asked.json["dataset"] for asked in api.to("/uploads")] == ["jobs", "departments", "hired_employees"]
    paths = [asked.path for asked in api.asked]
    assert max(paths.index("/loads/7"), paths.index("/loads/8")) < paths.index("/landing9")


def test_an_option_names_the_dataset_of_a_file(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7, rejected=0))
    Path("export.csv.gz").write_bytes(gzip.compress(b"1,Clerk\n"))
    assert run("upload", "export.csv.gz", "--dataset", "job").exit_code == 0
    assert api.to("/uploads")[0].json["dataset"] == "jobs"
    assert api.to("/landing7")[0].form[-1][2] == Path("export.csv.gz").read_bytes()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["upload", "export.csv"], f"--dataset {'|'.join(DATASETS)}"),
        (["upload", "jobs.csv", "jobs.xls"], "jobs.xls: only files that end in .csv, .tsv, .txt, "),
        (["upload", "jobs.csv", "nowhere.csv"], "nowhere.csv"),
        (["upload", "jobs.csv", "--dataset", "staff"], f"'staff' is not one of {', '.join(DATASETS)}"),
        (["check", "export.csv"], f"--dataset {'|'.join(DATASETS)}"),
        (["loads", "--status", "fine"], "'fine' is not one of queued"),
        (["load", "seven"], "'seven' is not the id of a load, such as 7"),
        (["report", "top", "2021", "--from", "2020"], "not both"),
        (["report", "top", "--csv", "--json"], "not both"),
        (["report", "top", "0"], "greater than or equal to 1"),
        (["restore", "staff", "--yes"], f"'staff' is not one of {', '.join(DATASETS)}, all"),
        (["restore", "jobs", "--point", "yesterday", "--yes"], "has a name like 20210727T160208.123456Z"),
        (["token", "new", "king"], f"'king' is not one of {', '.join(ROLES)}"),
        (["logs", "--since", "a while"], "90s, 10m, 2h, 1d"),
        (["logs", "--function", "nothing"], "choose one of api, ingest"),
        (["nothing"], "No such command"),
        (["upload", "jobs.csv", "--encoding", "klingon"], "'klingon' is not one of utf-8"),
        (["upload", "jobs.csv", "--delimiter", ";"], "';' is not one of comma, semicolon, tab, pipe"),
        (["check", "jobs.csv", "--dates", "ymd"], "'ymd' is not one of iso, dmy, mdy"),
        (["check", "jobs.csv", "--max-rejected", "101%"], "'101%' is neither a count of rows nor a share"),
    ],
)
def test_wrong_usage_exits_with_2_and_sends_nothing(api: FakeApi, run: Run, words: list[str], expected: str) -> None:
    for name in ("export.csv", "jobs.csv", "jobs.xls"):
        write(name)
    done = run(*words, STAGE="local")
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert expected in done.stderr
    assert (done.stderr[:7], done.stderr.count("\n")) == ("error: ", 1)
    assert not api.asked


def test_a_failed_upload_does_not_stop_the_next_one(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    expect_upload(api, 8, load(8, rejected=0))
    denied = b"<Error><Code>EntityTooLarge</Code><Message>Your proposed upload exceeds it</Message></Error>"
    api.forget("POST", "/landing7")
    api.on("POST", "/landing7", denied, 400)
    done = run("upload", write("jobs.csv"), write("jobs_2.csv"))
    assert done.exit_code == 1
    assert done.stderr == (
        "error: jobs.csv: jobs.csv was refused: 400 EntityTooLarge: Your proposed upload exceeds it\n"
    )
    assert "jobs_2.csv: load 8 succeeded" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v")
def test_a_large_file_is_uploaded_with_little_memory(api: FakeApi, tmp_path: Path) -> None:
    size, limit = 512 << 20, 400 << 10  # `size` of the file in bytes, `limit` of the memory in KiB
    with (tmp_path / "jobs.csv").open("wb") as file:
        file.truncate(size)
    expect_upload(api, 7, load(7, rejected=0))
    command: list[str | Path] = [
        "sh",
        "-c",
        f'ulimit -v {limit}; exec "$@"',
        "-",
        ROOT / "hireflow",
        "upload",
        tmp_path / "jobs.csv",
    ]
    environ = {**os.environ, "API_URL": api.url, "API_TOKEN": TOKEN}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert api.to("/landing7")[0].length > size


def test_json_output_has_a_line_for_each_load_that_ends(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    expect_upload(api, 8, load(8, "failed", error="no gzip"))
    api.on("GET", "/loads/7", load(7))
    done = run("upload", write("jobs.csv"), write("jobs_2.csv"), "--json")
    assert done.exit_code == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["file"]: (line["id"], line["status"]) for line in found} == {
        "jobs.csv": (7, "succeeded"),
        "jobs_2.csv": (8, "failed"),
    }
    assert load(7).items() <= next(line for line in found if line["id"] == 7).items()


def test_json_output_without_waiting_has_the_load_ids(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    done = run("upload", write("jobs.csv"), "--no-wait", "--json")
    assert json.loads(done.stdout) == {"file": "jobs.csv", "id": 7, "status": "queued"}


def test_json_output_names_files_that_did_not_arrive(api: FakeApi, run: Run) -> None:
    api.problem("POST", "/uploads", 422, "Unprocessable Entity", "this file cannot be uploaded")
    expect_upload(api, 7, load(7, rejected=0))
    done = run("upload", write("jobs.csv"), write("jobs_2.csv"), "--json")
    assert done.exit_code == 1
    unsent, sent = map(json.loads, done.stdout.splitlines())
    assert (sent["file"], sent["id"], sent["status"]) == ("jobs_2.csv", 7, "succeeded")
    expected = "422 Unprocessable Entity: this file cannot be uploaded"
    assert unsent == {"file": "jobs.csv", "id": None, "status": "not_sent", "error": expected}
    assert done.stderr == f"error: jobs.csv: {expected}\n"


def test_an_empty_file_is_uploaded(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7, rejected=0))
    done = run("upload", write("jobs.csv", ""))
    assert (done.exit_code, done.stderr) == (0, "")
    assert api.to("/uploads")[0].json["size"] == 0
    assert api.to("/landing7")[0].form[-1] == ("file", "jobs.csv", b"")


DECLARED = ("--encoding", "cp1252", "--delimiter", "Semicolon", "--dates", "dmy", "--max-rejected", "5%")
SENT = {"encoding": "windows-1252", "delimiter": "semicolon", "dates": "dmy", "max-rejected": "5%"}
FORMAT = {"type": "csv", "delimiter": ";", "encoding": "utf-16le", "header": True, "ignored_columns": ["note"]}


def test_declarations_are_sent_with_an_upload_and_with_a_check(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    api.on("POST", "/uploads/check", CHECKED)
    assert run("upload", write("jobs.TXT"), *DECLARED, "--corrects", "3").exit_code == 0
    expected = {"dataset": "jobs", "filename": "jobs.TXT", "size": 23, **SENT, "corrects": "3"}
    assert api.to("/uploads")[0].json == expected
    assert run("check", "jobs.TXT", *DECLARED).exit_code == 0
    assert api.to("/uploads/check")[0].query == {"dataset": "jobs", "limit": "20", **SENT}


def test_a_load_is_shown_with_the_format_the_notices_and_the_waiting_rows(api: FakeApi, run: Run) -> None:
    notice = "these words were read as text: 2 × NULL"
    expect_upload(api, 7, load(7, format=FORMAT, notices=[notice], waiting=1))
    done = run("upload", write("jobs.csv"), "--strict")
    assert done.exit_code == 0, "nobody needs to correct a waiting row, so --strict does not treat it as a failure"
    assert done.stdout.splitlines()[:4] == [
        "jobs.csv: load 7 succeeded",
        "  read as CSV, separated by semicolons, in UTF-16LE, with a header, ignored columns: note",
        f"  note: {notice}",
        "  3 received: 1 inserted, 1 updated, 0 unchanged, 0 superseded, 1 rejected (1 waiting)",
    ]
    lines = run("load", "7").stdout.splitlines()
    assert any(line.startswith("format") and "semicolons" in line for line in lines)
    assert any(line.startswith("notices") and line.endswith("2 × NULL") for line in lines)
    api.on("GET", "/loads", {"loads": [load(7, waiting=1)], "next_cursor": None})
    head, row = (line.split("\t") for line in run("loads").stdout.splitlines())
    assert row[head.index("waiting")] == "1"


def test_if_a_whole_file_fails_the_command_fails_and_shows_the_advice(api: FakeApi, run: Run) -> None:
    error = "no row could be loaded: job is not valid UTF-8 (each row); the file looks like windows-1252: declare it"
    expect_upload(api, 7, load(7, "failed", error=error, rejected=3, inserted=0, updated=0))
    api.on("POST", "/uploads/check", {**CHECKED, "status": "failed", "error": error, "format": FORMAT, "notices": []})
    done = run("upload", write("jobs.csv"))
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, f"jobs.csv: load 7 failed: {error}")
    checked = run("check", "jobs.csv")
    assert (checked.exit_code, checked.stdout.splitlines()[0]) == (
        1,
        f"jobs.csv: would fail; nothing was written: {error}",
    )


# --- check


CHECKED = {
    "dataset": "jobs",
    "received": 3,
    "inserted": 2,
    "updated": 0,
    "unchanged": 0,
    "superseded": 0,
    "rejected": 1,
    "reasons": [{"reason": "job is missing", "code": "missing", "count": 1}],
    "rejects": rejects(7)["rejects"],
}


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("jobs.csv", b"1,Clerk\n", "text/csv"),  # gzip would make this file larger
        ("jobs.csv", b"1,Clerk\n" * 100, "application/gzip"),
        # A workbook is compressed already, so gzip would not make it smaller.
        ("jobs.xlsx", b"PK" + b"1" * 100, "application/octet-stream"),
        # The body is part of the test's id. With mtime=0 it is the same in every test process.
        ("jobs.avro", b"Obj" + b"1" * 100, "application/avro"),
        ("jobs.csv.gz", gzip.compress(b"1,Clerk\n", mtime=0), "application/gzip"),
    ],
)
def test_check_gzips_a_file_if_that_makes_it_smaller(api: FakeApi, run: Run, name: str, data: bytes, kind: str) -> None:
    api.on("POST", "/uploads/check", CHECKED)
    Path(name).write_bytes(data)
    done = run("check", name, "--limit", "5")
    assert done.exit_code == 0, done.output
    [asked] = api.asked
    assert (asked.query, asked.headers["Content-Type"]) == ({"dataset": "jobs", "limit": "5"}, kind)
    plain = data if not name.endswith(".gz") else gzip.decompress(data)
    assert (gzip.decompress(asked.body) if kind == "application/gzip" else asked.body) == plain
    assert asked.length <= len(data)
    assert "3 received: 2 inserted, 0 updated, 0 unchanged, 0 superseded, 1 rejected" in done.stdout


def test_a_strict_check_fails_on_rejects(api: FakeApi, run: Run) -> None:
    api.on("POST", "/uploads/check", CHECKED)
    api.on("POST", "/uploads/check", {**CHECKED, "rejected": 0, "rejects": [], "reasons": []})
    assert run("check", write("jobs.csv"), "--strict").exit_code == 1
    assert run("check", write("jobs.csv"), "--strict").exit_code == 0
    assert json.loads(run("check", write("jobs.csv"), "--json").stdout)["received"] == 3


def test_a_file_too_large_for_one_request_is_not_checked(api: FakeApi, run: Run) -> None:
    Path("jobs.csv").write_bytes(os.urandom(5 << 20))
    done = run("check", "jobs.csv")
    assert (done.exit_code, api.asked) == (1, [])
    assert "too large to be checked at once" in done.stderr


# --- loads and rejects


def test_loads_lists_entries_of_several_pages(api: FakeApi, run: Run) -> None:
    api.on("GET", "/loads", {"loads": [load(number) for number in range(150, 50, -1)], "next_cursor": "51"})
    api.on("GET", "/loads", {"loads": [load(number) for number in range(50, 30, -1)], "next_cursor": "31"})
    done = run("loads", "--limit", "120", "--dataset", "job", "--status", "succeeded", "--json")
    assert [found["id"] for found in json.loads(done.stdout)] == list(range(150, 30, -1))
    filters = {"dataset": "jobs", "status": "succeeded"}
    assert [asked.query for asked in api.asked] == [
        {**filters, "limit": "100"},
        {**filters, "limit": "20", "cursor": "51"},
    ]


def test_rejects_are_filtered_and_waiting_and_resolved_ones_are_marked(api: FakeApi, run: Run) -> None:
    shown = [
        {"line": 2, "reasons": ["job is missing"], "raw": "2,", "resolved": True, "waiting": False},
        {"line": 3, "reasons": ["job_id 1 does not exist"], "raw": "3,1", "resolved": False, "waiting": True},
    ]
    api.on("GET", "/loads/7/rejects", rejects(7, rejected=3, resolved=1, waiting=1, rejects=shown))
    done = run("rejects", "7", "--all", "--code", "missing")
    assert api.asked[0].query == {"all": "true", "code": "missing", "limit": "20"}
    first, *rest = done.stdout.splitlines()
    states = "1 of them resolved since, 1 of them still waiting for their departments or jobs"
    assert first == f"load 7: 3 rejected, {states}"
    assert "1\tmissing\tjob is missing" in rest
    assert rest[-2:] == ["2\tjob is missing (resolved)\t2,", "3\tjob_id 1 does not exist (waiting)\t3,1"]


def test_rejects_are_printed_as_one_csv_file(api: FakeApi, run: Run) -> None:
    link = '</loads/7/rejects?all=false&cursor=1>; rel="next"'
    api.on("GET", "/loads/7/rejects", b"line,id,reasons,raw\r\n2,x,wrong,\r\n", Link=link)
    api.on("GET", "/loads/7/rejects", b"line,id,reasons,raw\r\n3,y,wrong,\r\n")
    assert run("rejects", "7", "--csv").stdout_bytes == b"line,id,reasons,raw\r\n2,x,wrong,\r\n3,y,wrong,\r\n"
    assert [asked.query for asked in api.asked] == [{}, {"cursor": "1"}]
    assert api.asked[0].headers["Accept"] == "text/csv"


def test_a_load_is_listed_by_the_name_of_its_file(api: FakeApi, run: Run) -> None:
    sent = load(8, kind="api", source="POST /job/upload")
    api.on("GET", "/loads", {"loads": [load(9), sent], "next_cursor": None})
    head, *rows = (line.split("\t") for line in run("loads").stdout.splitlines())
    assert [row[head.index("file")] for row in rows] == ["jobs.csv", "POST /job/upload"]
    assert json.loads(run("loads", "--json").stdout)[0]["source"] == "s3://landing/uploads/9/jobs.csv"


def test_an_empty_list_of_loads_is_a_success(api: FakeApi, run: Run) -> None:
    api.on("GET", "/loads", {"loads": [], "next_cursor": None})
    done = run("loads")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no loads\n")
    assert run("loads", "--json").stdout == "[]\n"


def test_load_shows_all_members(api: FakeApi, run: Run) -> None:
    api.on("GET", "/loads/7", load(7, reasons=[{"reason": "job is missing", "code": "missing", "count": 2}]))
    lines = run("load", "7").stdout.splitlines()
    assert {line.split()[0] for line in lines} == {*load(7), "reasons"}
    assert any(line.endswith("2 × job is missing") for line in lines)
    assert json.loads(run("load", "7", "--json").stdout)["id"] == 7


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "hireflow rejects 7 --csv > jobs_rejects.csv, then hireflow upload jobs_rejects.csv --corrects 7"),
        ({"waiting": 1}, None),
        ({"waiting": 9, "rejected": 9}, "to see all rejects: hireflow rejects 7"),
        ({"status": "failed", "error": "no row could be loaded"}, "no row was stored: correct the original file"),
    ],
)
def test_an_upload_with_rejects_says_what_to_do_next(
    api: FakeApi, run: Run, changes: dict[str, Any], told: str | None
) -> None:
    expect_upload(api, 7, load(7, **changes))
    write("jobs.csv")
    shown = run("upload", "jobs.csv").stdout
    hints = [line for line in shown.splitlines() if line.startswith(("to ", "no row"))]
    assert len(hints) == (told is not None)
    assert told is None or told in hints[0]


def test_rejects_that_were_not_recorded_are_told(api: FakeApi, run: Run) -> None:
    missing = "not all rejected rows can be shown: they were only counted (REJECT_LIMIT)"
    api.on("GET", "/loads/7/rejects", rejects(7, rejected=20, truncated=True, next_cursor=None))
    assert missing in run("rejects", "7").stdout
    api.on("GET", "/loads/8/rejects", rejects(8, rejected=20, truncated=True, next_cursor="1"))
    assert "they are too large to be shown here" in run("rejects", "8").stdout
    link = '</loads/9/rejects?all=false&cursor=1>; rel="next"'
    api.on("GET", "/loads/9/rejects", b"line,id,reasons,raw\r\n2,x,wrong,\r\n", X_Truncated="true", Link=link)
    api.on("GET", "/loads/9/rejects", b"line,id,reasons,raw\r\n3,x,wrong,\r\n", X_Truncated="true")
    done = run("rejects", "9", "--csv")
    assert done.stdout_bytes == b"line,id,reasons,raw\r\n2,x,wrong,\r\n3,x,wrong,\r\n"
    assert done.stderr.startswith("note: this file does not have all rejected rows")
    assert done.stderr.count("note") == 1


@pytest.mark.parametrize("text", ["0", "abc", "-1", "1.5", "٣", "9" * 5000])
def test_the_id_of_a_load_is_a_number(api: FakeApi, run: Run, text: str) -> None:
    done = run("load", "--", text)
    assert done.exit_code == 2
    assert "is not the id of a load" in " ".join(done.stderr.split())
    assert not api.asked


def test_rejects_are_shown_or_streamed(api: FakeApi, run: Run) -> None:
    stored = b'{"load_id": 7, "raw": "\xc3\xa9"}\n' * 3
    api.on("GET", "/loads/7/rejects", rejects(7, resolved=1, url=f"{api.url}/errored?X-Amz-Signature=abc"))
    api.on("GET", "/errored", stored)
    done = run("rejects", "7", "--limit", "5")
    assert done.stdout.splitlines()[0] == "load 7: 1 rejected, 1 of them resolved since"
    assert run("rejects", "7", "--ndjson").stdout_bytes == stored
    assert json.loads(run("rejects", "7", "--json").stdout)["load_id"] == 7
    assert [asked.query for asked in api.to("/errored")] == [{"X-Amz-Signature": "abc"}]
    assert api.to("/errored")[0].headers.get("Authorization") is None


def test_a_load_without_rejects_prints_an_empty_reject_file(api: FakeApi, run: Run) -> None:
    api.on("GET", "/loads/7/rejects", rejects(7, rejected=0, reasons=[], rejects=[]))
    assert (run("rejects", "7", "--ndjson").exit_code, run("rejects", "7", "--ndjson").stdout) == (0, "")
    assert run("rejects", "7").stdout == "load 7: 0 rejected\n"


# --- reports


QUARTERLY = [{"department": "Staff", "job": "Clerk", "q1": 1, "q2": 0, "q3": 22, "q4": 3}]


@pytest.mark.parametrize(
    ("words", "path", "query"),
    [
        (["quarterly", "2021"], "/department/hires/quarterly/2021", {}),
        (["quarterly", "2021", "--department", "3"], "/department/hires/quarterly/2021", {"department_id": "3"}),
        (["quarterly", "2021", "--department", "Staff"], "/department/hires/quarterly/2021", {"department": "Staff"}),
        (["quarterly", "--from", "2019"], "/department/hires/quarterly", {"from": "2019"}),
        (["top", "--from", "2019", "--to", "2021"], "/department/hires/top", {"from": "2019", "to": "2021"}),
    ],
)
def test_reports_take_a_year_or_a_range(
    api: FakeApi, run: Run, words: list[str], path: str, query: dict[str, str]
) -> None:
    api.on("GET", path, QUARTERLY)
    done = run("report", *words)
    assert done.exit_code == 0, done.output
    assert api.asked[0].query == query
    assert done.stdout.splitlines() == ["department\tjob\tq1\tq2\tq3\tq4", "Staff\tClerk\t1\t0\t22\t3"]
    assert json.loads(run("report", *words, "--json").stdout) == QUARTERLY


def test_a_csv_report_is_printed_as_the_api_sent_it(api: FakeApi, run: Run) -> None:
    sent = '"department","hired"\r\n"Büro",3\r\n'.encode()
    api.on("GET", "/department/hires/top/2021", sent, Content_Type="text/csv")
    assert run("report", "top", "2021", "--csv").stdout_bytes == sent
    assert api.asked[0].headers["Accept"] == "text/csv"


# --- backups and restores


TABLES = tuple(DATASETS)
BACKUP: dict[str, Any] = {
    "restore_point": POINT,
    "created_at": "2021-07-27T16:02:08.123456Z",
    "verified_at": None,
    "tables": {name: {"rows": 1200, "bytes": 500, "sha256": ""} for name in TABLES},
}


def expect_restores(api: FakeApi, backup: dict[str, Any] = BACKUP, **ended: Any) -> None:
    api.on("GET", "/backups", {"backups": [backup], "next_cursor": None})
    for number, name in enumerate(TABLES, 7):
        order = {"load_id": number, "restore_point": POINT, "status_url": f"/loads/{number}"}
        api.on("POST", f"/{name}/backup/restore", order, 202)
        api.on("GET", f"/loads/{number}", load(number, **{"rejected": 0, **ended}))


def test_restore_points_are_listed(api: FakeApi, run: Run) -> None:
    api.on("GET", "/backups", {"backups": [BACKUP, {**BACKUP, "verified_at": BACKUP["created_at"]}]})
    done = run("backups")
    assert done.stderr == ""
    head, first, second = (line.split("\t") for line in done.stdout.splitlines())
    assert head == ["restore point", "age", "verified", "rows", "bytes"]
    assert (first[0], first[2:]) == (POINT, ["", str(1200 * len(TABLES)), str(500 * len(TABLES))])
    assert second[2].endswith(" ago")


def test_restore_explains_itself_and_restores_parents_first(api: FakeApi, run: Run) -> None:
    expect_restores(api)
    done = run("restore", "hired_employees", "department", "jobs", "--yes")
    assert done.exit_code == 0, done.output
    orders = [asked for asked in api.asked if asked.method == "POST"]
    assert [asked.path.split("/")[1] for asked in orders] == ["departments", "jobs", "hired_employees"]
    assert all(asked.json == {"restore_point": POINT} for asked in orders)
    assert "departments (1,200 rows)" in done.stdout
    assert "Rows deleted since then come back. Changed rows get their old values. Added rows stay." in done.stdout
    paths = [asked.path for asked in api.asked]
    assert paths.index("/loads/7") < paths.index("/jobs/backup/restore")


OLDER = {**BACKUP, "tables": {name: BACKUP["tables"][name] for name in ("departments", "jobs")}}


def test_restore_all_restores_what_the_restore_point_contains(api: FakeApi, run: Run) -> None:
    expect_restores(api, OLDER)
    done = run("restore", "all", "--yes")
    assert done.exit_code == 0, done.output
    assert [a.path.split("/")[1] for a in api.asked if a.method == "POST"] == ["departments", "jobs"]
    assert "hired_employees: not in this restore point" in done.stdout.splitlines()


NEWER = {**BACKUP, "tables": {**BACKUP["tables"], "locations": {"rows": 3, "bytes": 5, "sha256": ""}}}


def test_a_table_of_a_later_release_is_named_and_not_restored(api: FakeApi, run: Run) -> None:
    expect_restores(api, NEWER)
    done = run("restore", "all", "--yes")
    assert done.exit_code == 0, done.output
    assert [a.path.split("/")[1] for a in api.asked if a.method == "POST"] == list(TABLES)
    assert "locations: this release has no such dataset, so it is not restored" in done.stdout.splitlines()
    listed = run("backups")
    assert listed.stderr == f"locations: this release has no such dataset; it is in {POINT}\n"


def test_restore_of_a_dataset_that_the_restore_point_lacks_names_what_it_contains(api: FakeApi, run: Run) -> None:
    expect_restores(api, OLDER)
    done = run("restore", "jobs", "hired_employees", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: restore point {POINT} does not contain hired_employees: it contains departments, jobs\n"
    )
    assert not [asked for asked in api.asked if asked.method == "POST"]


def test_restore_without_a_terminal_requires_yes(api: FakeApi, run: Run) -> None:
    expect_restores(api)
    done = run("restore", "all")
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert not [asked for asked in api.asked if asked.method == "POST"]


def test_restore_stops_at_the_first_failed_load(api: FakeApi, run: Run) -> None:
    expect_restores(api, status="failed", received=0, error="the file is damaged")
    done = run("restore", "all", "--yes")
    assert done.exit_code == 1
    assert "load 7 failed: the file is damaged" in done.stdout
    assert "no later dataset was restored" in done.stderr
    assert not api.to("/jobs/backup/restore")


def test_restore_names_the_loads_with_rejects_after_all_datasets(api: FakeApi, run: Run) -> None:
    expect_restores(api, rejected=3, resolved=1, waiting=1)
    for number in (7, 8, 9):
        api.on("GET", f"/loads/{number}/rejects", {"reasons": [], "rejects": [], "truncated": False})
    done = run("restore", "all", "--yes")
    named = ", ".join(f"hireflow rejects {number}" for number in (7, 8, 9))
    error = f"error: some rows were not restored, because they were rejected: see {named}\n"
    assert (done.exit_code, done.stderr) == (1, error)


def test_a_restore_succeeds_although_rows_wait_for_their_parents(api: FakeApi, run: Run) -> None:
    expect_restores(api, rejected=2, resolved=1, waiting=1)
    for number in (7, 8, 9):
        api.on("GET", f"/loads/{number}/rejects", {"reasons": [], "rejects": [], "truncated": False})
    assert run("restore", "all", "--yes").exit_code == 0


EARLIER = "20210727T150000.000000Z"


@pytest.mark.parametrize(("rows_before", "status"), [(1201, 1), (1200, 0)])
def test_restore_asks_for_the_point_if_a_new_database_has_fewer_rows_than_the_previous_one(
    api: FakeApi, run: Run, rows_before: int, status: int
) -> None:
    newest = {**BACKUP, "previous_database": EARLIER}
    before = {**BACKUP, "restore_point": EARLIER, "tables": {"jobs": {**BACKUP["tables"]["jobs"], "rows": rows_before}}}
    newest["tables"] = {"jobs": BACKUP["tables"]["jobs"]}
    expect_restores(api, newest)
    api.on("GET", "/backups", {"backups": [before], "next_cursor": None})
    done = run("restore", "all", "--yes")
    assert done.exit_code == status
    assert api.to("/backups")[1].query == {"limit": "1", "cursor": "20210727T150000.000001Z"}
    if status:
        assert (
            f"{POINT} is of a new database and has 1,200 rows, but {EARLIER} is of the previous database" in done.stderr
        )
        assert not [asked for asked in api.asked if asked.method == "POST"]


def test_restore_takes_the_newest_point_if_that_of_the_previous_database_has_expired(api: FakeApi, run: Run) -> None:
    expect_restores(api, {**BACKUP, "previous_database": EARLIER})
    assert run("restore", "all", "--yes").exit_code == 0


def test_restore_finds_a_restore_point_by_its_name(api: FakeApi, run: Run) -> None:
    expect_restores(api)
    assert run("restore", "jobs", "--point", POINT, "--yes").exit_code == 0
    assert api.to("/backups")[0].query == {"limit": "1", "cursor": "20210727T160208.123457Z"}
    done = run("restore", "jobs", "--point", "20210727T160208.123455Z", "--yes")
    assert (done.exit_code, done.stderr) == (1, "error: there is no restore point 20210727T160208.123455Z\n")


# --- the stage


@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (503, 1)])
def test_the_exit_status_of_health_is_1_if_the_service_is_unhealthy(
    api: FakeApi, run: Run, status: int, exit_status: int
) -> None:
    api.on("GET", "/health", {"status": "ok", "last_backup": {"restore_point": POINT, "age_seconds": 1.5}}, status)
    done = run("health")
    assert done.exit_code == exit_status
    assert done.stdout.splitlines()[1] == f"last_backup\trestore_point {POINT}, age_seconds 1.5"


def test_health_says_why_the_database_does_not_work(api: FakeApi, run: Run) -> None:
    detail = "the disk of the database is full"
    api.on("GET", "/health", {"status": "unavailable", "detail": detail, "database": "unavailable"}, 503)
    done = run("health")
    assert (done.exit_code, done.stdout.splitlines()[1]) == (1, f"detail\t{detail}")


def test_open_prints_the_address_of_the_dashboard(api: FakeApi, run: Run) -> None:
    assert run("open").stdout == f"{api.url}/\n"


# --- failures


@pytest.mark.parametrize(
    ("status", "title", "expected"),
    [
        (401, "Unauthenticated", "set API_TOKEN to a token of this stage"),
        (403, "Forbidden", "use a token with that role or right"),
        (404, "Not found", "404 Not found: because"),
    ],
)
def test_a_problem_is_one_line_that_says_what_to_do(
    api: FakeApi, run: Run, status: int, title: str, expected: str
) -> None:
    api.problem("GET", "/loads/7", status, title, "because", errors=[{"field": "id", "reason": "is\nodd"}])
    done = run("load", "7")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {status} {title}: because; is\\nodd")
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b'{"message": "Missing Authentication Token"}', 403, "there is nothing at this address: is API_URL right"),
        (b"<html>", 502, "502 Bad Gateway"),
        (b'{"message": "Request Too Long"}', 413, "413 Request Too Long"),
        (b"<html>", 200, "the response is not JSON: is API_URL right?"),
    ],
)
def test_a_response_of_another_program_is_recognized(
    api: FakeApi, run: Run, body: bytes, status: int, expected: str
) -> None:
    api.on("GET", "/loads/7", body, status)
    done = run("load", "7")
    assert (done.exit_code, done.stdout) == (1, "")
    assert expected in done.stderr


def test_a_request_is_retried_after_503(api: FakeApi, run: Run) -> None:
    away = {"title": "Temporarily unavailable", "detail": "the database is away"}
    api.on("GET", "/loads/7", away, 503, Retry_After="0")
    api.on("GET", "/loads/7", load(7))
    assert run("load", "7").exit_code == 0
    assert len(api.asked) == 2


def test_requests_beyond_the_limit_of_api_gateway_are_sent_again_after_growing_pauses(api: FakeApi) -> None:
    pauses: list[float] = []
    for _ in range(3):
        api.on("GET", "/loads/7", {"message": "Too Many Requests"}, 429)  # API Gateway sends no Retry-After
    api.on("GET", "/loads/7", load(7))
    client = Api(api.url, sleep=pauses.append)
    assert client.get("/loads/7")["id"] == 7
    client.close()
    assert pauses == [1, 2, 4]


def test_an_internal_error_shows_the_correlation_id_for_the_logs(api: FakeApi, run: Run) -> None:
    api.problem("GET", "/loads/7", 500, "Internal error", "Something went wrong", correlation_id="undo-monday")
    assert run("load", "7").stderr == (
        "error: 500 Internal error: Something went wrong; in the logs: correlation_id undo-monday\n"
    )


def test_a_request_fails_after_four_times_503(api: FakeApi, run: Run) -> None:
    api.on("GET", "/loads/7", {"detail": "the database is away", "title": "Unavailable"}, 503, Retry_After="0")
    done = run("load", "7")
    assert (done.exit_code, len(api.asked)) == (1, 4)
    assert done.stderr == "error: 503 Unavailable: the database is away\n"


def test_a_refused_connection_is_one_line(run: Run) -> None:
    done = run("loads", API_URL="http://127.0.0.1:1")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: http://127.0.0.1:1 cannot be reached: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"API_URL": ""}, "set API_URL (and API_TOKEN), or start one on this machine with `make up`"),
        ({"API_URL": "ftp://x"}, "API_URL is not the address"),
        ({"API_URL": "http://[x"}, "API_URL is not the address"),
        ({"API_TOKEN": "två ord"}, "API_TOKEN is not a token"),
    ],
)
def test_an_invalid_setting_exits_with_2(run: Run, changes: dict[str, str], expected: str) -> None:
    done = run("loads", **changes)
    assert (done.exit_code, done.stdout) == (2, "")
    assert expected in done.stderr


def test_an_unforeseen_error_is_one_line(api: FakeApi, run: Run) -> None:
    api.on("GET", "/loads", {"unexpected": True})
    done = run("loads")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: unforeseen KeyError: 'loads' (history.py:")
    assert done.stderr.count("\n") == 1


def test_a_command_that_needs_a_stage_asks_for_it(run: Run) -> None:
    done = run("token", "list")
    assert done.exit_code == 2
    assert "STAGE=prod" in done.stderr


def test_the_statuses_equal_those_of_the_api() -> None:
    from chalicelib.api.load_routes import STATUSES as SERVED

    assert STATUSES == SERVED


# --- on a terminal


def on_a_terminal(api: FakeApi, *words: str, typed: str = "", width: int = 100, **more: str) -> tuple[int, str]:
    """Run a command on a terminal of `width` columns. Type `typed` when the command asks a question. Return the exit
    status and the output."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "API_URL": api.url, "API_TOKEN": "", "TERM": "xterm", "COLUMNS": str(width), **more}
    with subprocess.Popen(
        [ROOT / "hireflow", *words],
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # Only the controlling terminal of a process turns ^C into SIGINT.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as running:
        os.close(theirs)
        shown = ""
        with suppress(OSError):  # Linux raises OSError if no process has the terminal open any more
            while select.select([ours], [], [], 30)[0] and (chunk := os.read(ours, 4096)):
                shown += chunk.decode(errors="replace")
                if typed and shown.endswith("? [y/N] "):
                    os.write(ours, typed.encode())
                    typed = ""
        running.kill()  # the command may hang
    os.close(ours)
    return running.returncode, shown


@pytest.mark.parametrize(
    ("typed", "status", "ordered"), [("y\n", 0, 1), ("yes\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("\x03", 130, 0)]
)
def test_restore_asks_on_a_terminal(api: FakeApi, typed: str, status: int, ordered: int) -> None:
    expect_restores(api)
    found, shown = on_a_terminal(api, "restore", "jobs", typed=typed)
    assert found == status, shown
    assert "Restore this? [y/N]" in shown
    assert len(api.to("/jobs/backup/restore")) == ordered


def test_progress_is_shown_on_a_terminal(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("1,Clerk\n" * 1000)
    expect_upload(api, 7, load(7))
    status, shown = on_a_terminal(api, "upload", str(tmp_path / "jobs.csv"))
    assert status == 0
    assert "8.0/8.0 kB" in shown
    assert "jobs.csv: load 7 running, 3 rows" in shown
    assert shown.rindex("jobs.csv: load 7 succeeded") > shown.rindex("load 7 running")


NAME = "Bureau of Rather Long Names of Departments and Everything that Belongs to Them"
WIDE = {
    "loads": ("/loads", {"loads": [load(123456, received=5_000_000, rejected=100_000)], "next_cursor": None}),
    "load 7": ("/loads/7", load(7, "failed", error="the file is no gzip, whatever its name may say about that")),
    "rejects 7": ("/loads/7/rejects", rejects(7)),
    "report quarterly": ("/department/hires/quarterly", [{"year": 2021, **QUARTERLY[0], "department": NAME}]),
    "report top": ("/department/hires/top", [{"id": 2_147_483_647, "department": NAME, "hired": 1_000_000}]),
    "backups": ("/backups", {"backups": [{**BACKUP, "verified_at": "2021-07-27T16:02:08Z"}]}),
    "health": ("/health", {"status": "ok", "last_backup": {"restore_point": POINT, "age_seconds": 1.5, "rows": 1}}),
}


@pytest.mark.parametrize("words", WIDE)
def test_every_table_fits_80_columns_without_truncation(api: FakeApi, words: str) -> None:
    path, response = WIDE[words]
    api.on("GET", path, response)
    status, shown = on_a_terminal(api, *words.split(), width=80, NO_COLOR="1")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert status == 0, shown
    assert max(map(len, lines)) <= 80
    assert "…" not in shown
    if NAME in json.dumps(response):
        assert all(word in shown for word in NAME.split())


def test_no_color_and_a_dumb_terminal_turn_colours_off(api: FakeApi) -> None:
    api.on("GET", "/loads", {"loads": [load(7)], "next_cursor": None})
    assert "\x1b[1m" in on_a_terminal(api, "loads", NO_COLOR="")[1]
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", on_a_terminal(api, "loads", NO_COLOR="1")[1])
    assert "\x1b" not in on_a_terminal(api, "loads", TERM="dumb")[1]


def test_a_503_of_a_local_stage_points_to_make_status(api: FakeApi, run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "env").write_text(f"API_URL={api.url}\n")
    api.problem("GET", "/loads/7", 503, "Temporarily unavailable", "the database cannot be reached")
    api.on("GET", "/loads/7", load(7))
    api.problem("GET", "/loads/8", 503, "Temporarily unavailable", "the database cannot be reached")
    assert run("load", "7").exit_code == 0  # the first response is a 503, and the retry succeeds
    refusal = run("load", "8").stderr
    assert "the database cannot be reached; make status shows which servers run; docs/operations.md says" in refusal


def test_a_function_that_failed_on_a_full_disk_gets_the_remedy(api: FakeApi, run: Run) -> None:
    said = {"message": '{"errorMessage": "[Errno 28] No space left on device", "errorType": "OSError"}'}
    api.on("GET", "/loads", said, 502)
    api.on("POST", "/uploads", said, 502)
    for words in (["loads"], ["upload", write("jobs.csv")]):
        assert run(*words).stderr.endswith("free some space, then run the same command again\n")


def test_a_shell_with_an_old_token_has_to_read_the_env_file_again(api: FakeApi, run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "env").write_text(f"API_URL={api.url}\nAPI_TOKEN=new\n")
    api.problem("GET", "/loads", 401, "Unauthorized", "a token is needed")
    done = run("loads", API_TOKEN="")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert f"set -a; . {tmp_path}/nothing/env; set +a" in done.stderr
    assert "set API_TOKEN" in run("loads", API_TOKEN="new").stderr


# --- the program


def hireflow(*words: str, program: Path = ROOT / "hireflow", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words], env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_script_runs_from_any_folder_through_symbolic_links(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "typing.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "far" / "away" / "hf").symlink_to(os.path.relpath(ROOT / "hireflow", tmp_path / "far" / "away"))
    (tmp_path / "far" / "link").symlink_to("away/hf")
    monkeypatch.chdir(tmp_path)
    expect_upload(api, 7, load(7, rejected=0))
    write("jobs.csv")
    done = hireflow("upload", "jobs.csv", program=tmp_path / "far" / "link", API_URL=api.url, API_TOKEN="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "load 7 succeeded" in done.stdout


def interrupted(api: FakeApi, waited_for: str, *words: str) -> tuple[int, str, str]:
    """Run a command, and interrupt it after its request to the path `waited_for`. Return the exit status, standard
    output and standard error of the command."""
    own = {**os.environ, "API_URL": api.url}
    program: list[str | Path] = [ROOT / "hireflow", *words]
    with subprocess.Popen(program, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        deadline = time.monotonic() + 30
        while not api.to(waited_for) and time.monotonic() < deadline:
            time.sleep(0.01)
        started.send_signal(signal.SIGINT)
        printed, said = started.communicate(timeout=30)
    return started.returncode, printed, said


def test_ctrl_c_cancels_a_queued_load(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("1,Clerk\n")
    expect_upload(api, 19, load(19))
    api.on("DELETE", "/uploads/19", b"", 204)
    api.hold("POST", "/landing19")
    assert interrupted(api, "/landing19", "upload", str(tmp_path / "jobs.csv")) == (130, "", "load 19 cancelled\n")


def test_ctrl_c_does_not_cancel_a_load_whose_file_has_arrived(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("1,Clerk\n")
    expect_upload(api, 19, load(19, "running"))
    detail = "the file of load 19 has arrived: the load is running, and goes on"
    api.problem("DELETE", "/uploads/19", 409, "Conflict", detail)
    found = interrupted(api, "/loads/19", "upload", str(tmp_path / "jobs.csv"), "--json")
    expected = f"load 19 is not cancelled: {detail}\n"
    assert found == (130, "", expected)


def test_ctrl_c_is_one_line_if_the_api_cannot_cancel_loads(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("1,Clerk\n")
    expect_upload(api, 19, load(19, "running"))
    status, printed, said = interrupted(api, "/loads/19", "upload", str(tmp_path / "jobs.csv"))
    assert (status, printed, said.count("\n")) == (130, "", 1)
    assert said.startswith("load 19 is not cancelled: this API cannot cancel")


def test_the_load_of_a_failed_upload_is_cancelled(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7))
    api.forget("POST", "/landing7")
    api.on("POST", "/landing7", b"<Error/>", 503)
    api.on("DELETE", "/uploads/7", b"", 204)
    assert run("upload", write("jobs.csv")).exit_code == 1
    assert [asked.method for asked in api.to("/uploads/7")] == ["DELETE"]


def test_a_load_is_followed_if_only_the_response_to_its_upload_was_lost(api: FakeApi, run: Run) -> None:
    expect_upload(api, 7, load(7, rejected=0))
    api.forget("POST", "/landing7")
    api.on("POST", "/landing7", b"<Error/>", 500)
    api.problem("DELETE", "/uploads/7", 409, "Conflict", "the file of load 7 has arrived: the load goes on")
    done = run("upload", write("jobs.csv"))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "jobs.csv: load 7 succeeded" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_not_reported_as_a_network_failure(api: FakeApi) -> None:
    api.on("GET", "/loads/7/rejects", rejects(7, url=f"{api.url}/errored"))
    api.on("GET", "/errored", b"{}\n" * 100_000)
    own = {**os.environ, "API_URL": api.url}
    with Path("/dev/full").open("w") as output:
        done = subprocess.run(
            [ROOT / "hireflow", "rejects", "7", "--ndjson"], env=own, stdout=output, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        b"error: No space left on device: free some space, then run the same command again\n",
    )


def test_a_closed_pipe_is_no_error(api: FakeApi) -> None:
    api.on("GET", "/loads", {"loads": [load(number) for number in range(1, 101)] * 20, "next_cursor": None})
    done = subprocess.run(
        ["sh", "-c", '"$0" loads --json --limit 2000 | head -1', ROOT / "hireflow"],
        env={**os.environ, "API_URL": api.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[\n", "")
