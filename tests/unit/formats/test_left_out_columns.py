"""Tests files that leave out columns: which columns a file has, and which fields of a record leave out their column or
mean NULL."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import InvalidDeclaration
from chalicelib.core.rules import Checked, check_fields
from chalicelib.core.streams import Peekable
from chalicelib.formats.containers import HEAD
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_seeker import Seeker
from chalicelib.formats.csv_tokens import Clean, Record
from chalicelib.formats.file_format import Format, describe
from chalicelib.formats.pg_copy import text_format
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.rejects import row_of_fields
from chalicelib.ingest.staging_table import StagingTable, creation
from tests import values
from tests.dialects import Dialect, written
from tests.other.declaration import OTHERS
from tests.workbooks import table

STAFF = Dataset(
    "staff",
    "member",
    (
        Column("id", Kind.ID),
        Column("name", Kind.TEXT),
        Column("team", Kind.TEXT, default="none"),
        Column("boss_id", Kind.ID, parent="bosses", optional=True),
        Column("email", Kind.TEXT, optional=True, aliases=("mail",)),
    ),
)
LEFT_OUT = None  # stands for a column that a row leaves out


def described(dataset: Dataset, data: bytes, declared: Declarations = UNDECLARED) -> Format:
    return describe(dataset, data[: HEAD + 1], complete=len(data) <= HEAD, declared=declared)


def records(dataset: Dataset, data: bytes) -> list[Record]:
    file_format = described(dataset, data)
    tokens = Reader(dataset, file_format.text(io.BytesIO(data)), file_format.layout, fast=False)
    return [token for token in tokens if isinstance(token, Record)]


def said(dataset: Dataset, data: bytes) -> list[list[str | None] | str]:
    """Return the fields of each record by column, with LEFT_OUT for a column that the record leaves out, or the reason
    why a record cannot be split."""
    return [
        record.problem.text
        if record.problem
        else [LEFT_OUT if field is None else field.decode() for field in record.fields or ()]
        for record in records(dataset, data)
    ]


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("1", 2),
        ("1,Ann", 2),
        ("1,Ann,A", 3),
        ("1,Ann,,", 4),
        ("1,Ann,,,", 5),
        ("1,Ann,A,7,a@b", 5),
        ("1,Ann,A,7,a@b, ", 5),
        ("\n,,\n1,Ann,A", 3),
        ('"x"y,1,2,3,4\n1,Ann,A', 3),
        ('sep=,\n"1","An\nn"', 2),
    ],
)
def test_the_first_valid_record_says_how_many_columns_a_file_without_header_has(first: str, columns: int) -> None:
    for end in ("", "\n", "\r\n2,Bob\r\n"):
        layout = described(STAFF, (first + end).encode()).layout
        assert (layout.positions, layout.has_header) == (tuple(range(columns)), False)


@pytest.mark.parametrize(
    "before", ["Staff 2021\n", "Staff,of,all,our,teams,2021\n", "x,Ann\n", "1\n", "No,Who\n,,,,\n", '"x"y\nStaff\n']
)
def test_a_record_that_cannot_be_a_row_does_not_say_how_many_columns_the_file_has(before: str) -> None:
    for row in ("1,Ann", "1,Ann,A", "1.0,Ann,A,7", " 1,Ann,A,7,a@b"):
        width = row.count(",") + 1
        assert described(STAFF, f"{before}{row}\n".encode()).layout.positions == tuple(range(width))


@pytest.mark.parametrize(
    "bad",
    ["1", "1,Ann,A,x", "x,Ann,A,7,a@b", "1,Ann,A,7,a@b,more", "1,Ann,B,A,", ",,A", '1,"An"n,A', "1,Ann,\0"],
)
@pytest.mark.parametrize("row", ["2,Bob", "2,Bob,B", "2,Bob,B,8", "2,Bob,B,8,b@c"])
def test_a_bad_record_before_the_rows_of_a_file_without_header_costs_none_of_them(bad: str, row: str) -> None:
    data = f"{bad}\n{row}\n".encode()
    assert described(STAFF, data).layout.positions == tuple(range(row.count(",") + 1))
    good = records(STAFF, data)[1]
    assert not good.problem
    assert check_fields(STAFF, good.fields or ()).valid


def test_the_first_parsed_record_counts_if_no_record_is_valid() -> None:
    for first, columns in (("1", 2), ("x,Ann,A", 3), ("x,Ann,A,7,a@b,more", 5), ('"x"y\nx,Ann,A', 3)):
        data = f"{first}\nx,Bob,B,8\n".encode()
        assert len(described(STAFF, data).layout.positions) == columns


def test_declared_dates_count_in_the_record_that_says_how_many_columns_a_file_has() -> None:
    visits = Dataset("visits", "visit", (STAFF.columns[0], Column("on", Kind.DATE), STAFF.columns[4]))
    data = b"1,27/07/2021\n2,2021-07-27,a@b\n"
    assert len(described(visits, data, Declarations(dates="dmy")).layout.positions) == 2
    assert len(described(visits, data).layout.positions) == 3


def test_a_workbook_without_header_has_the_columns_of_its_sheet() -> None:
    for width in (2, 3, 5):
        cells = [[7, "Ann", "A", 8, "a@b"][:width], [9, "Bob"]]
        found = FileReading.of_file(STAFF, Peekable(io.BytesIO(table(cells)))).file_format
        assert found.layout.positions == tuple(range(width))


def test_records_with_another_number_of_fields_are_rejected() -> None:
    data = b"1,Ann,A\n2,Bob\n3,Cy,A,\n4,Dee,A,5\n5,Eve,A,,,\n"
    too_few, too_many = "expected 3 fields, found 2", "expected 3 fields, found 4"
    assert said(STAFF, data) == [
        ["1", "Ann", "A", LEFT_OUT, LEFT_OUT],
        too_few,
        ["3", "Cy", "A", LEFT_OUT, LEFT_OUT],
        too_many,
        ["5", "Eve", "A", LEFT_OUT, LEFT_OUT],
    ]


def test_empty_fields_at_the_end_of_a_record_leave_out_their_columns_without_a_header() -> None:
    data = b'1,Ann,A,7,a@b\n2,Bob,,,\n3,Cy,A,,""\n4,Dee,A, ,\xe2\x80\x8b\n5,Eve,A,,e@f\n6,Flo,,8,\n7,,,,\n'
    assert said(STAFF, data) == [
        ["1", "Ann", "A", "7", "a@b"],
        ["2", "Bob", LEFT_OUT, LEFT_OUT, LEFT_OUT],
        ["3", "Cy", "A", LEFT_OUT, LEFT_OUT],
        ["4", "Dee", "A", LEFT_OUT, LEFT_OUT],
        ["5", "Eve", "A", "", "e@f"],
        ["6", "Flo", "", "8", LEFT_OUT],
        ["7", "", LEFT_OUT, LEFT_OUT, LEFT_OUT],
    ]
    checked = [check_fields(STAFF, record.fields or ()) for record in records(STAFF, data)]
    assert [[problem.text for problem in row.problems] for row in checked] == [
        [],
        [],
        [],
        [],
        [],
        ["team is missing"],
        ["name is missing"],
    ]
    assert checked[1].left_out == {2, 3, 4}
    assert checked[4].left_out == frozenset()


def test_all_rows_have_the_columns_that_a_header_names() -> None:
    data = b"mail,ID,shoe,name\na@b,1,44,Ann\n,2,,Bob\n"
    assert described(STAFF, data).ignored_columns == ("shoe",)
    assert said(STAFF, data) == [["1", "Ann", LEFT_OUT, LEFT_OUT, "a@b"], ["2", "Bob", LEFT_OUT, LEFT_OUT, ""]]


def test_an_empty_field_under_a_mandatory_column_of_a_header_is_missing() -> None:
    [record] = records(STAFF, b"id,name,team\n1,Ann,\n")
    assert [problem.text for problem in check_fields(STAFF, record.fields or ()).problems] == ["team is missing"]


def test_a_header_must_name_the_columns_that_no_row_may_leave_out() -> None:
    with pytest.raises(LoadError) as refused:
        described(STAFF, b"id,email\n1,a@b\n")
    assert refused.value.detail == (
        "the header names id, email: name is missing; this file must have id, name, in any order, and may have team,"
        " boss_id, email"
    )
    with pytest.raises(LoadError, match=": email is named twice;"):
        described(STAFF, b"id,name,email,mail\n")


@pytest.mark.parametrize(
    "data", [b"1;Ann\n2;Bob;;\n", b"1;Ann;A, B;7\n", b"x;y\n1;Ann;A;;\n", b"id;email;name\n1;;Ann\n"]
)
def test_the_delimiter_of_a_file_with_fewer_columns_is_found(data: bytes) -> None:
    assert described(STAFF, data).layout.delimiter == b";"


@pytest.mark.parametrize(
    "data",
    [
        b"id,name,email\n1,Ann,a@b\nid,name,\n2,Bob,\n",  # the e-mail address of Bob would be set to NULL
        b"id,name,email\n1,Ann,a@b\nid,email,\n2,b@c,\n",
        b"1,Ann,A,7,a@b\nid,name,email,,\n2,Bob,b@c,,\n",  # b@c would be a team
    ],
)
def test_a_shorter_header_below_rows_is_refused_if_its_rows_would_be_misread(data: bytes) -> None:
    with pytest.raises(LoadError, match="but not all columns of the rows above it: send the rows below it as another"):
        list(Reader(STAFF, io.BytesIO(data), described(STAFF, data).layout))


def test_a_shorter_header_below_rows_is_skipped_if_its_rows_leave_out_the_other_columns() -> None:
    data = b"1,Ann,A,7,a@b\nid,name,team,,\n2,Bob,B,,\n"
    assert said(STAFF, data) == [["1", "Ann", "A", "7", "a@b"], ["2", "Bob", "B", LEFT_OUT, LEFT_OUT]]


@pytest.mark.parametrize(
    ("data", "clean"),
    [
        (b'id,email,name,boss_id\n1,,Ann,7\n2,"",Bob,\n3,c@d,"Cy",8.0\n', 3),
        (b"1,Ann,A,7,a@b\n2,Bob,,,\n3,Cy,A,,\n4,Dee,A,,d@e\n5,Eve,A,8,\n", 5),
        (b"1,Ann\n2,Bob\n", 2),
        (b"1,Ann,A,7,a@b\n2,Bob,,7,\n", 1),  # the team is missing
        (b"id,name,team\n1,Ann,A\n2,Bob,\n", 1),  # the team is missing
        (b"id,name\n1,Ann\n2,\n", 1),
    ],
)
def test_lines_with_empty_fields_stay_on_the_fast_path(data: bytes, clean: int) -> None:
    tokens = Reader(STAFF, io.BytesIO(data), described(STAFF, data).layout)
    assert sum(token.lines for token in tokens if isinstance(token, Clean)) == clean


def test_the_decimals_of_ids_are_removed_beside_an_empty_reference() -> None:
    data = b"id,name,boss_id\n1.0,Ann,\n2.00,Bob,7.0\n3,Cy,8\n"
    [clean] = (token for token in Reader(STAFF, io.BytesIO(data), described(STAFF, data).layout) if token.for_copy())
    assert clean.for_copy() == b"1,Ann,\n2,Bob,7\n3,Cy,8\n"


@pytest.mark.parametrize(
    ("data", "copied"),
    [
        (b"1,5.00,3,9.0\n2,7.0,4,\n", b"1,5.00,3,9.0\n2,7.0,4,\n"),
        (b"1,5.00,3,\n2.0,7.0,4.00,9.0\n", b"1,5.00,3,\n2,7.0,4,9.0\n"),
        (b'"1","5.00","3","9.0"\r\n', b"1,5.00,3,9.0\n"),
    ],
)
def test_the_decimals_of_decimal_numbers_and_texts_stay(data: bytes, copied: bytes) -> None:
    price, count = Column("price", Kind.decimal(9, 2)), Column("count", Kind.WHOLE_NUMBER)
    stock = Dataset("stock", "item", (STAFF.columns[0], price, count, Column("note", Kind.TEXT, optional=True)))
    [clean] = Reader(stock, io.BytesIO(data), described(stock, data).layout)
    assert clean.for_copy() == copied


def test_a_staging_table_has_the_columns_of_the_file_only() -> None:
    layout = described(STAFF, b"mail,ID,shoe,name\n").layout
    sql = creation(StagingTable(STAFF, text_format(layout)))
    assert sql.partition("CACHE 1000), ")[2].startswith('"email" text, "id" integer, ignored_1 text, "name" text)')


def test_a_reject_has_null_for_a_column_that_its_record_leaves_out() -> None:
    [record] = records(STAFF, b"id,name,email\nx,Ann,\n")
    assert row_of_fields(STAFF, record.fields or ()) == {
        "id": "x",
        "name": "Ann",
        "team": None,
        "boss_id": None,
        "email": "",
    }


@pytest.mark.parametrize("name", ["seq", "ctid", "ignored_1", "ignored_12"])
def test_names_that_staging_tables_need_cannot_be_declared(name: str) -> None:
    with pytest.raises(InvalidDeclaration, match="choose another name"):
        Column(name, Kind.TEXT)


def test_names_that_only_look_like_those_of_staging_tables_can_be_declared() -> None:
    assert Column("ignored_", Kind.TEXT).quoted == '"ignored_"'
    assert Column("ignored_by", Kind.TEXT).quoted == '"ignored_by"'


@pytest.mark.parametrize(
    "names", [("line", ()), ("place", ("Reasons",)), ("left_out", ()), ("leftout", ()), ("place", ("Left-Out",))]
)
def test_names_of_the_columns_in_files_of_rejects_cannot_be_declared(names: tuple[str, tuple[str, ...]]) -> None:
    name, aliases = names
    with pytest.raises(InvalidDeclaration, match="is a name in files of rejects: choose another name or alias"):
        Column(name, Kind.TEXT, aliases=aliases)


@pytest.mark.parametrize("alias", ["", " - ", "2021", "-7", "12.0"])
def test_an_alias_that_no_header_can_have_cannot_be_declared(alias: str) -> None:
    with pytest.raises(InvalidDeclaration, match="cannot be an alias of name: an alias needs a letter or a sign"):
        Column("name", Kind.TEXT, aliases=("Name of 2021", "#", alias))


@pytest.mark.parametrize(
    "other",
    [Column("na_me", Kind.TEXT), *(Column("called", Kind.TEXT, aliases=(n,)) for n in ("Name", '"name"', "[name]"))],
)
def test_a_header_can_tell_all_columns_apart(other: Column) -> None:
    with pytest.raises(InvalidDeclaration, match="would mean both name and"):
        Dataset("people", "human", (Column("id", Kind.ID), Column("name", Kind.TEXT), other))


Texts = tuple[str, ...]
Sheet = tuple[Dataset, tuple[str, ...], bool, list[Texts]]


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """Generate the dataset of a file, the columns of the file, whether it has a header, and its rows."""
    dataset = draw(st.sampled_from([STAFF, *(other for other in OTHERS if other.fewest < len(other.columns))]))
    has_header = draw(st.booleans())
    columns = dataset.column_names[: draw(st.integers(dataset.fewest, len(dataset.columns)))]
    if has_header:
        left_out = draw(st.sets(st.sampled_from(dataset.column_names[dataset.fewest :])))
        columns = tuple(draw(st.permutations([name for name in columns if name not in left_out])))
    kinds = [dataset.columns[dataset.column_names.index(name)].kind for name in columns]
    fields = [values.sent(kind) | values.doubtful(kind) | st.sampled_from(["", "", " "]) for kind in kinds]
    id_at = columns.index("id")
    fields[id_at] = values.sent(Kind.ID) | values.doubtful(Kind.ID)  # a row of empty fields would be a blank line
    rows = draw(st.lists(st.tuples(*fields), min_size=1, max_size=8))
    return dataset, columns, has_header, rows


def expected(dataset: Dataset, columns: Sequence[str], row: Sequence[str], *, has_header: bool) -> Checked:
    """Check a row by what the documentation says about fields that are empty."""
    sent = dict(zip(columns, row, strict=True))
    if not has_header:
        for column in reversed(dataset.columns):
            if sent.get(column.name, "").strip() or not column.may_be_absent:
                break
            sent.pop(column.name, None)
    fields = [sent[name].encode() if name in sent else None for name in dataset.column_names]
    return check_fields(dataset, fields)


def result(dataset: Dataset, data: bytes, layout: CsvLayout, *, fast: bool) -> dict[int, Checked | str]:
    """Return the checked row of each line. A line of the fast path is checked in the form in which COPY gets it."""
    found: dict[int, Checked | str] = {}
    for token in Reader(dataset, io.BytesIO(data), layout, fast=fast):
        if isinstance(token, Clean):
            for line, copied in enumerate(token.for_copy().splitlines(), token.line):
                fields = copied.split(layout.delimiter)
                found[line] = checked = check_fields(dataset, layout.values(dataset, fields))
                assert checked.valid
                nulls = [at for at, field in zip(layout.positions, fields, strict=True) if at is not None and not field]
                assert all(checked.values[at] is None for at in nulls)
        elif isinstance(token, Record):
            found[token.line] = token.problem.text if token.problem else check_fields(dataset, token.fields or ())
    return found


@given(sheets(), st.booleans(), st.booleans())
def test_every_row_means_what_its_fields_and_the_header_say(sheet: Sheet, quotes_all: bool, has_decimals: bool) -> None:
    dataset, columns, has_header, rows = sheet
    by_name = [dict(zip(columns, row, strict=True)) for row in rows]
    dialect = Dialect(columns=columns, has_header=has_header, quotes_all=quotes_all, has_decimal_ids=has_decimals)
    data = written(dataset, [[row.get(name, "") for name in dataset.column_names] for row in by_name], dialect)
    layout = described(dataset, data).layout
    assert layout.positions == tuple(map(dataset.column_names.index, columns))
    slow = result(dataset, data, layout, fast=False)
    assert result(dataset, data, layout, fast=True) == slow
    if not has_decimals:
        lines = enumerate(rows, 1 + has_header)
        assert slow == {line: expected(dataset, columns, row, has_header=has_header) for line, row in lines}
    seeker = Seeker(dataset, io.BytesIO(data), layout)
    for record in records(dataset, data):
        if record.fields is not None:
            assert seeker.record(record.line) == record
