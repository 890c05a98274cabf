"""Loads hostile files: decompression bombs, endless lines, and texts that have a special meaning in other programs."""

import gzip
import json
import subprocess
import sys

import pytest

from chalicelib.core.datasets import DATASETS
from infra.venv import ROOT
from tests.integration.backups.test_restore_load import back_up, restore
from tests.integration.http_api import Api
from tests.integration.landing import Landing, counts

MIB = 1024 * 1024
TEXTS = [
    '=HYPERLINK("http://x")',
    "+1",
    "-1+1",
    "@SUM(A1)",
    "'; DROP TABLE jobs; --",
    "Robert'); DELETE FROM loads;--",
    "\\.",
    "\\N",
    "\\\\",
    "a\\tb",
    "a\tb",
    "a\\,b\\n",
    "$$; SELECT 1; $$",
    ":id %s %(id)s ${id} {id}",
    '{"job": null}',
    "a\nb\r\nc",
    "NULL",
    "x\u202egnp.exe",
    "<script>alert(1)</script>",
]


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def stored(landing: Landing) -> list[str]:
    return [row[0] for row in landing.rows("SELECT job FROM jobs ORDER BY id")]


def test_a_decompression_bomb_loads_nothing_and_is_not_tried_again(landing: Landing) -> None:
    bomb = gzip.compress(b"1,Clerk\n" + b"\n" * (20 * MIB), 9)
    assert len(bomb) < MIB
    event = landing.put("jobs.csv", "")  # the name does not end in .gz, because `put` would compress the bomb again
    response = landing.s3.client.put_object(Bucket="test-landing", Key="jobs.csv.gz", Body=bomb)
    event["Records"][0]["s3"]["object"] |= {"key": "jobs.csv.gz", "versionId": response["VersionId"]}
    landing.deliver(event)
    load = landing.load()
    assert (load["status"], load["attempts"]) == ("failed", 1)
    assert "gzip" in load["error"]
    assert stored(landing) == []


LONG_LINE = """
import sys
from datetime import UTC, datetime
from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.formats.csv_reader import Reader
from chalicelib.ingest.reject_files import RejectFile, ReportedLoad
from chalicelib.ingest.stager import Stager
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.pg_copy import text_format
from chalicelib.ingest.staging_table import StagingTable, create

class Line:  # a valid row, a very long line, then another valid row
    def __init__(self, size):
        self.head, self.left, self.tail = [b"1,Smith\\n"], size, [b"\\n2,Clerk\\n"]
    def read(self, _size, /):
        if self.head:
            return self.head.pop()
        if self.left > 0:
            self.left -= 262144
            return b"x" * 262144
        return self.tail.pop() if self.tail else b""

class Lines(list):
    def writer(self, *_):
        return self
    write = list.append

jobs, reject_lines = DATASETS["jobs"], Lines()
with Database(sys.argv[1], tls="disable").session() as session:
    table = StagingTable(jobs, text_format(CsvLayout.by_position(jobs)))
    create(session, table)
    rejects = RejectFile(reject_lines, ReportedLoad(jobs, 1, "s3://landing/jobs.csv", datetime.now(UTC)))
    stager = Stager(table, Reader(jobs, Line(int(sys.argv[2]))), rejects)
    list(stager.run(session))
    rows = session.run(f"SELECT seq, id, job FROM {table.name} WHERE id IS NOT NULL ORDER BY seq")
    staged = [tuple(row) for row in rows]
assert (stager.received, stager.rejected) == (3, 1), stager
assert staged == [(1, 1, "Smith"), (3, 2, "Clerk")], staged
assert len(reject_lines) == 1 and len(reject_lines[0]) < 1100000, list(map(len, reject_lines))
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_line_of_a_gibibyte_is_one_reject_in_bounded_memory(database_url: str) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", LONG_LINE, database_url, str(1024 * MIB)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert int(completed.stdout) < 100 * 1024  # kB


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('"' * (10 * MIB + 1), None),
        ('""' * (5 * MIB), "longer than"),
        ("," * 1_000_000, "fields"),
        ("1," + "x" * (2 * MIB), "longer than"),
    ],
)
def test_only_the_oversized_record_is_rejected(landing: Landing, body: str, why: str | None) -> None:
    load = landing.upload("jobs.csv", f"1,Before\n{body}\n3,After\n")
    assert load["status"] == "succeeded"
    assert counts(load)[-1] == load["received"] - 2
    assert stored(landing) == ["Before", "After"]
    for reject in landing.rejects(load):
        assert len(reject["raw"]) <= MIB
        assert why is None or why in " ".join(reject["reasons"])


def test_files_and_backups_keep_texts_unchanged(landing: Landing) -> None:
    load = landing.upload("jobs.csv", "".join(f"{n},{quoted(text)}\n" for n, text in enumerate(TEXTS, 1)))
    assert load["inserted"] == len(TEXTS)
    assert stored(landing) == TEXTS
    back_up(landing)
    with landing.database.session() as session:
        session.run("TRUNCATE jobs CASCADE")
    assert restore(landing, "jobs")["inserted"] == len(TEXTS)
    assert stored(landing) == TEXTS


def test_requests_keep_texts_unchanged(landing: Landing, api: Api) -> None:
    response = api.post("/job/upload/batch", {"data": [{"id": n, "job": text} for n, text in enumerate(TEXTS, 1)]})
    assert response.body["inserted"] == len(TEXTS)
    assert stored(landing) == TEXTS


def test_the_rejects_of_a_file_have_the_texts_unchanged(landing: Landing) -> None:
    load = landing.upload("jobs.csv", "".join(f"0,{quoted(text)}\n" for text in TEXTS))
    assert counts(load) == (len(TEXTS), 0, 0, 0, 0, len(TEXTS))
    rejects = landing.rejects(load)
    assert [reject["row"]["job"] for reject in rejects] == TEXTS
    assert [reject["raw"] for reject in rejects] == [f"0,{quoted(text)}" for text in TEXTS]
    assert set(DATASETS["jobs"].column_names) == set(rejects[0]["row"])


def test_the_rejects_of_a_request_have_the_texts_unchanged(landing: Landing, api: Api) -> None:
    rows = [{"id": 0, "job": text} for text in TEXTS]
    response = api.post("/job/upload/batch", {"data": rows})
    assert (response.status, len(response.body["rejected"])) == (422, len(TEXTS))
    rejects = landing.rejects(landing.load(response.body["load_id"]))
    assert [reject["row"]["job"] for reject in rejects] == TEXTS
    assert [json.loads(reject["raw"]) for reject in rejects] == rows


def test_a_formula_after_a_tab_is_stored_without_the_tab(landing: Landing, api: Api) -> None:
    """White space around a text is removed, also a tab before it. So a spreadsheet may take the stored text for a
    formula. The reject file still has the text as it was sent."""
    landing.upload("jobs.csv", '1,\t=cmd()\n2,"\t+1"\n')
    assert api.post("/job/upload", {"id": 3, "job": "\t@x"}).status == 201
    assert stored(landing) == ["=cmd()", "+1", "@x"]
    refused = landing.upload("jobs.csv", "0,\t=cmd()\n")
    assert [reject["raw"] for reject in landing.rejects(refused)] == ["0,\t=cmd()"]
