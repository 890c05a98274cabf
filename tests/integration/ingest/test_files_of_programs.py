"""Files as programs and people write them, one for each way: each is read, or refused with what to do about it. A check
of each file says the same as its load."""

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Declarations
from chalicelib.core.errors import LoadError
from chalicelib.core.reasons import (
    BACKSLASH_BEFORE_QUOTE,
    EXCEL_ERROR,
    NOT_A_DATETIME,
    NOT_AN_ID,
    QUOTE_INSIDE,
    SPACE_BEFORE_QUOTE,
    UNDECLARED_DATE,
)
from chalicelib.ingest.dryrun import Outcome, dry_run
from tests.integration.landing import GRACE, Landing, Row
from tests.integration.s3_fixtures import LANDING
from tests.workbooks import packed, table

ROWS = [(1, "Sales"), (2, "Ops"), (3, "Caf\u00e9")]
HEADER = ("id", "department")
LINES = "1,Sales\n2,Ops\n3,Caf\u00e9\n"
UNICODE_TEXT = "id\tdepartment\r\n1\tSales\r\n2\tOps\r\n3\tCaf\u00e9\r\n"
BY_POSITION = "columns were taken by their position, in the order id, department"


def of_python(rows: Sequence[Sequence[object]], quoting: Any = csv.QUOTE_MINIMAL, *, on_windows: bool = False) -> str:
    """A file of Python's module csv. On Windows, a text file without newline="" gets a CR more in each line end."""
    file = io.StringIO()
    csv.writer(file, quoting=quoting).writerows(rows)
    return file.getvalue().replace("\n", "\r\n") if on_windows else file.getvalue()


@dataclass(frozen=True)
class Sent:
    """A file of departments and what is declared about it."""

    body: bytes | str
    key: str = "departments.csv"
    declared: tuple[tuple[str, str], ...] = ()

    @property
    def data(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body


LOADED = {
    "columns in another order": Sent("department,id\n" + "".join(f"{name},{row_id}\n" for row_id, name in ROWS)),
    "a column more": Sent(of_python([("id", "region", "department"), *((i, "EU", name) for i, name in ROWS)])),
    "the index of pandas": Sent(
        ",id,department\n" + "".join(f"{at},{i},{name}\n" for at, (i, name) in enumerate(ROWS))
    ),
    "row names of R": Sent('"","id","department"\n"1",1,"Sales"\n"2",2,"Ops"\n"3",3,"Caf\u00e9"\n'),
    "other names": Sent("Dept ID;Department Name\r\n" + LINES.replace(",", ";")),
    "semicolons": Sent(LINES.replace(",", ";").replace("\n", "\r\n")),
    "tabs": Sent(LINES.replace(",", "\t"), "departments.tsv"),
    "pipes": Sent(LINES.replace(",", "|")),
    "sep=; under a BOM": Sent("\ufeffsep=;\r\nid;department\r\n" + LINES.replace(",", ";")),
    "sep=, before a header": Sent("sep=,\r\nid,department\r\n" + LINES),
    "Unicode Text of Excel": Sent(b"\xff\xfe" + UNICODE_TEXT.encode("utf-16-le"), "departments.txt"),
    "UTF-16, big endian": Sent(b"\xfe\xff" + UNICODE_TEXT.encode("utf-16-be")),
    "CR alone": Sent("id,department\r" + LINES.replace("\n", "\r")),
    "CR CR LF, last field quoted": Sent(of_python([HEADER, *ROWS], csv.QUOTE_NONNUMERIC, on_windows=True)),
    "gzip named .csv": Sent(gzip.compress(LINES.encode(), mtime=0)),
    "XLSX named .csv": Sent(table([HEADER, *((float(i), name) for i, name in ROWS)])),
    "invisible characters": Sent("\u202d1\u202c,Sales\u200b\n\ufeff2\u00ad,\u2060Ops\n3\u200e,Caf\u00e9\u00a0\n"),
    "two files in one, each with a BOM": Sent(
        "\ufeffid,department\n1,Sales\n\ufeffid,department\n2,Ops\n3,Caf\u00e9\n"
    ),
    "lines of commas only": Sent(LINES + ",\n,,,\n"),
    "empty columns at the end": Sent("id,department,,\n" + LINES.replace("\n", ",,\n")),
    "whole numbers as floats": Sent(LINES.replace(",", ".0,")),
    "Windows-1252, declared": Sent(LINES.encode("cp1252"), declared=(("encoding", "windows-1252"),)),
    "several members of gzip": Sent(gzip.compress(LINES[:9].encode()) + gzip.compress(LINES[9:].encode())),
    **{f"named {key}": Sent(LINES, key) for key in ("Departments.CSV", "department.csv", "departments/2021-07-27.csv")},
}


def checked(landing: Landing, sent: Sent, dataset: str) -> Outcome | str:
    """What a check says: its outcome, or why the file cannot be read."""
    declared = Declarations.of(dict(sent.declared))
    try:
        return dry_run(landing.database, DATASETS[dataset], sent.data, limit=20, declared=declared)
    except LoadError as error:
        return error.detail


def loaded(landing: Landing, sent: Sent, dataset: str = "departments") -> Row:
    """Load a file, and return its load. A check before it has to say the same."""
    outcome = checked(landing, sent, dataset)
    load = landing.upload(sent.key, sent.data, grace=GRACE, **dict(sent.declared))
    if isinstance(outcome, str):
        assert (load["status"], load["error"]) == ("failed", outcome)
        return load
    found = (outcome.status, outcome.error, outcome.format, outcome.notices, outcome.waiting)
    assert found == tuple(load[name] for name in ("status", "error", "format", "notices", "waiting"))
    assert vars(outcome.counts) == {name: load[name] for name in vars(outcome.counts)}
    assert [reject["reasons"] for reject in outcome.rejects] == [r["reasons"] for r in landing.rejects(load)[:20]]
    return load


@pytest.mark.parametrize("sent", LOADED.values(), ids=LOADED)
def test_every_row_is_loaded(landing: Landing, sent: Sent) -> None:
    load = loaded(landing, sent)
    assert (load["status"], load["inserted"], load["rejected"], load["error"]) == ("succeeded", 3, 0, None)
    assert landing.rows("SELECT * FROM departments ORDER BY id") == ROWS


def test_the_encoding_gzip_of_an_object_does_not_matter(landing: Landing) -> None:
    event = landing.put("departments.csv", b"")
    body = gzip.compress(LINES.encode())
    stored = landing.s3.client.put_object(Bucket=LANDING, Key="departments.csv", Body=body, ContentEncoding="gzip")
    item = {"versionId": stored["VersionId"], "eTag": stored["ETag"].strip('"')}
    event["Records"][0]["s3"]["object"] |= item
    landing.deliver(event)
    assert landing.load()["inserted"] == 3


REFUSED = {
    "a zip archive": (packed({"departments.csv": LINES.encode()}), "the file is a zip archive: send the files in it"),
    "a page of HTML": ("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "an HTML page: export the table as CSV"),
    "JSON": ('[{"id": 1, "department": "Sales"}]', "the file is JSON: send rows as JSON to the API"),
    "rows of JSON": ('{"id": 1, "department": "Sales"}\n', "the file is JSON: send rows as JSON to the API"),
    "the header of jobs": ("id,job\n1,Clerk\n", "department is missing; this file must have id, department"),
    "a name that nobody knows": ("Key,department\n1,Sales\n", "id is missing; this file must have id, department"),
    "another header below": ("id,department\n1,Sales\ndepartment,id\nOps,2\n", "put the header in the first line"),
    "a comment above such a header": ("# HR\ndepartment,id\nOps,2\n", "put the header in the first line"),
    "UTF-16 without a mark": (UNICODE_TEXT.encode("utf-16-le"), "declare encoding=utf-16le or save the file as CSV"),
    "Windows-1252": ("3,Caf\u00e9\n".encode("cp1252"), "declare encoding=windows-1252 or save the file as CSV UTF-8"),
    "spaces between columns": ("1 Sales\n2 Ops\n", "one of semicolon, tab, pipe, or save the file with commas"),
    "names in the place of ids": (
        "Sales,1\nOps,2\n",
        "the file has no header, so columns were taken by",
    ),
    "gzip that is cut off": (
        gzip.compress(LINES.encode() * 9000, mtime=0)[:-9],
        "it is truncated; send the whole file again",
    ),
    "gzip with a wrong CRC": (
        gzip.compress(LINES.encode(), mtime=0)[:-8] + bytes(8),
        "(incorrect data check): pack the file again",
    ),
}


@pytest.mark.parametrize(("body", "error"), REFUSED.values(), ids=REFUSED)
def test_the_error_of_a_file_that_cannot_be_loaded_says_what_to_do(
    landing: Landing, body: bytes | str, error: str
) -> None:
    load = loaded(landing, Sent(body))
    assert (load["status"], load["inserted"], load["attempts"]) == ("failed", 0, 1)
    assert error in load["error"]
    assert landing.rows("SELECT * FROM departments") == []


ONE_REJECT = {
    "a space before a quote": ('9, "Sales"', str(SPACE_BEFORE_QUOTE)),
    "an invisible character before a quote": ('\ufeff"9","Sales"', str(SPACE_BEFORE_QUOTE)),
    "a backslash before a quote": ('9,"say \\"hi\\" loud"', str(BACKSLASH_BEFORE_QUOTE)),
    "inches": ('9,6" pipe', str(QUOTE_INSIDE)),
    "a quoted line break in a record with a field more": ('9,"note\n11,Phantom\n",extra', "expected 2 fields, found 3"),
    "an error of Excel": ("9,#REF!", f"department {EXCEL_ERROR}"),
    "an invisible character alone": ("9,\u200b", "department is missing"),
    "a fraction": ("9.5,Sales", f"id {NOT_AN_ID}"),
    "NUL": ("9,Sa\0les", "department contains a NUL character"),
    "Ctrl-Z": ("\x1a", "expected 2 fields, found 1"),
}


@pytest.mark.parametrize(("record", "reason"), ONE_REJECT.values(), ids=ONE_REJECT)
def test_one_record_is_rejected_with_a_reason(landing: Landing, record: str, reason: str) -> None:
    load = loaded(landing, Sent(f"1,Sales\n{record}\n2,Ops\n"))
    assert (load["status"], load["received"], load["inserted"], load["notices"]) == ("succeeded", 3, 2, [])
    assert [(reject["raw"], reject["reasons"]) for reject in landing.rejects(load)] == [
        (record.replace("\0", "\ufffd"), [reason])
    ]


@pytest.mark.parametrize(
    "above", ["HR export 2021", "# exported by HR", "#TYPE System.Data.DataRow", "Nummer,Bezeichnung"]
)
def test_what_stands_above_a_table_is_a_reject_with_a_notice(landing: Landing, above: str) -> None:
    load = loaded(landing, Sent(f"{above}\nid,department\n1,Sales\n2,Ops\n"))
    assert (load["status"], load["inserted"], load["rejected"]) == ("succeeded", 2, 1)
    assert BY_POSITION in load["notices"][0]


READ = ("2021-07-27 16:02:08 UTC", "2021-07-27 16:02:08.0", "2021-07-27 16:02:08+00", "2021-07-27T16:02:08.000Z")
NOT_READ = {
    **dict.fromkeys(("20210727160208Z", "202107271602Z", "20210727160208+0000", "20210727160208"), NOT_A_DATETIME),
    **dict.fromkeys(("1627401728000", "1627401728", "44404.66815", "44404"), NOT_A_DATETIME),
    **dict.fromkeys(("2021-07-27+02:00", "2021-07-27Z", "2021-07-27T16:02:60Z", "27 Jul 2021"), NOT_A_DATETIME),
    **dict.fromkeys(("27/07/2021", "27.07.2021", "07/27/2021 16:02"), UNDECLARED_DATE),
}


def test_date_times_of_programs_are_read_or_refused_with_what_to_write(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    texts = [*READ, *NOT_READ]
    body = "".join(f"{row_id},Ann,{text},1,1\n" for row_id, text in enumerate(texts, 1))
    load = loaded(landing, Sent(body, "hired_employees.csv"), "hired_employees")
    assert (load["inserted"], load["rejected"]) == (len(READ), len(NOT_READ))
    assert {tuple(row) for row in landing.rows("SELECT extract(epoch FROM datetime)::int FROM hired_employees")} == {
        (1627401728,)
    }
    reasons = {reject["row"]["datetime"]: reject["reasons"] for reject in landing.rejects(load)}
    assert reasons == {text: [f"datetime {reason}"] for text, reason in NOT_READ.items()}
