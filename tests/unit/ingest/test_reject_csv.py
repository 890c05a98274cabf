"""Tests the CSV file of rejects for datasets whose rows may leave out columns: what a row left out, the corrected row
leaves out, too."""

import csv
import io
from typing import Any

import pytest

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.kinds.table import Kind
from chalicelib.core.reasons import MISSING
from chalicelib.core.rules import check_fields
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_tokens import Record
from chalicelib.formats.file_format import describe
from chalicelib.formats.pg_copy import LineFormat
from chalicelib.ingest import reject_csv
from chalicelib.ingest.rejects import Reject, row_of_fields, row_of_object
from chalicelib.ingest.relation import Relation
from chalicelib.loads.history import RejectedFile

STAFF = Dataset(
    "staff",
    "member",
    (
        Column("id", Kind.ID),
        Column("name", Kind.TEXT),
        Column("team", Kind.TEXT, default="none"),
        Column("email", Kind.TEXT, optional=True),
    ),
)
PLAIN = Dataset("plain", "plain_one", STAFF.columns[:2])


def rejected(columns: list[str] | None = None) -> RejectedFile:
    return RejectedFile("staff", "s3://landing/staff.csv", ",", columns, 0)


def shown(place: str, raw: bytes, row: dict[str, str | None] | None) -> dict[str, Any]:
    return {**Reject(3, (MISSING.of("id"),), raw, row).shown(place), "waiting": False}


def of_file(*fields: bytes | None) -> dict[str, Any]:
    raw = b",".join(field for field in fields if field is not None)
    return shown("line", raw, row_of_fields(STAFF, fields))


def of_request(row: dict[str, Any], raw: bytes) -> dict[str, Any]:
    return shown("index", raw, row_of_object(STAFF, row))


def cells(dataset: Dataset, file: RejectedFile, *rejects: dict[str, Any]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(reject_csv.text_of(dataset, file, rejects), newline="")))


HEADER = ["line", "id", "name", "team", "email", "reasons", "raw", "left_out"]


def test_the_file_says_what_each_row_without_a_header_left_out() -> None:
    rejects = [of_file(b"", b"Ann", None, None), of_file(b"", b"Bob", b"A", b""), of_file(b"", b"Cy", b"A", None)]
    header, *rows = cells(STAFF, rejected(), *rejects)
    assert header == HEADER
    assert [row[-1] for row in rows] == ["team email", "", "email"]
    assert rows[0] == ["3", "", "Ann", "", "", "id is missing", "", "team email"]


def test_the_file_says_what_each_row_of_a_request_left_out() -> None:
    left_out = of_request({"id": "x", "name": "Ann"}, b'{"id": "x", "name": "Ann"}')
    null = of_request({"id": "x", "name": "Bob", "email": None}, b'{"id": "x", "name": "Bob", "email": null}')
    assert [row[-1] for row in cells(STAFF, rejected(), left_out, null)[1:]] == ["team email", "team"]


def test_rejects_that_are_older_than_a_column_left_it_out() -> None:
    old = of_file(b"", b"Ann", None, None)
    old["row"] = {"id": "", "name": "Ann"}
    assert cells(STAFF, rejected(), old)[1] == ["3", "", "Ann", "", "", "id is missing", "", "team email"]


def test_a_record_that_could_not_be_split_leaves_out_what_its_user_does_not_fill_in() -> None:
    assert cells(STAFF, rejected(), shown("line", b'"1"x', None))[1][-2:] == ['"1"x', "team email"]


@pytest.mark.parametrize(
    ("dataset", "columns"), [(PLAIN, None), (STAFF, ["id", "name", "email"]), (STAFF, ["ID", "left_out", "name"])]
)
def test_the_file_has_no_such_column_if_all_rows_have_the_same_columns(
    dataset: Dataset, columns: list[str] | None
) -> None:
    names = columns or ["id", "name"]
    assert cells(dataset, rejected(columns))[0] == ["line", *names, "reasons", "raw"]


def test_the_rejects_of_a_corrected_file_are_written_in_the_same_way() -> None:
    raw = b"3,x,Ann,,,id is missing,,team email"
    again = shown("line", raw, row_of_fields(STAFF, (b"x", b"Ann", None, None)))
    assert cells(STAFF, rejected(HEADER), again) == [
        HEADER,
        ["3", "x", "Ann", "", "", "id is missing", "", "team email"],
    ]


def test_a_corrected_row_leaves_out_what_its_reject_left_out() -> None:
    text = (
        b"line,id,name,team,email,reasons,raw,left_out\n"
        b"3,7,Ann,,,id is missing,,team email\n"
        b"4,8,Bob,A,,id is missing,,\n"
        b"5,9,Cy,,c@d,id is missing,, email  team \n"
        b"6,10,Dee,,,id is missing,,email name\n"
    )
    layout = describe(STAFF, text, complete=True).layout
    records = [token for token in Reader(STAFF, io.BytesIO(text), layout) if isinstance(token, Record)]
    assert [record.fields for record in records] == [
        (b"7", b"Ann", None, None),
        (b"8", b"Bob", b"A", b""),
        (b"9", b"Cy", None, b"c@d"),
        (b"10", b"Dee", b"", None),
    ]
    first = records[0]
    values = check_fields(STAFF, first.fields or ()).values
    line = LineFormat(layout).row(values, layout.staged_apart(first.raw.split(b",")))
    assert line == b"3,7,Ann,,,,,team email\n"
    left_out = Relation.staged(STAFF, layout, "staging").left_out
    assert left_out["email"] == (
        "({row}.\"email\" IS NULL AND strpos(' ' || coalesce({row}.ignored_4, '') || ' ', ' email ') > 0)"
    )
