"""Tests how the rows of XLSX workbooks are read: the values of cells, the lines of rows, and the columns of cells."""

import io
from datetime import date, datetime
from typing import Any

import pytest
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.rules import check_fields
from chalicelib.core.streams import Peekable
from chalicelib.formats.csv_tokens import Checkpoint, Clean, Record, Skipped
from chalicelib.ingest.file_reading import FileReading
from tests.dialects import in_order
from tests.workbooks import SHEET, changed, of_rows, packed, parts, table, workbook

JOBS, EMPLOYEES = DATASETS["jobs"], DATASETS["hired_employees"]
AT = datetime(2021, 7, 27, 16, 2, 8)


def reading(dataset: Dataset, data: bytes) -> FileReading:
    return FileReading.of_file(dataset, Peekable(io.BytesIO(data)))


def found(dataset: Dataset, data: bytes) -> dict[int, Any]:
    """Return the rows by their lines, without the skipped rows. A valid row is given by its values as texts, and a
    reject by its reasons."""
    of_file, rows = reading(dataset, data), dict[int, Any]()
    lines = 0
    for token in of_file.tokens(io.BytesIO()):
        assert token.line == lines + 1  # the tokens cover all rows of the sheet without gaps
        lines += token.lines
        if isinstance(token, Clean):
            for at, record in enumerate(token.for_copy().decode().splitlines()):
                rows[token.line + at] = tuple(in_order(of_file.file_format.layout, record.split(",")))
        elif isinstance(token, Record):
            if token.fields is None:
                assert token.problem is not None
                rows[token.line] = [token.problem.text]
                continue
            checked = check_fields(dataset, token.fields)
            valid = tuple(str(value).replace("+00:00", "Z") for value in checked.values)
            rows[token.line] = valid if checked.valid else [problem.text for problem in checked.problems]
        else:
            assert isinstance(token, Skipped)
    return {
        line: tuple(v.removesuffix("Z") for v in row) if isinstance(row, tuple) else row for line, row in rows.items()
    }


def job(cell: Any, row: Any = None) -> Any:
    """Return the values or the reasons of a job whose name is in this cell."""
    return found(JOBS, table([["id", "job"], [1, cell], *([row] if row else [])])).get(2)


def test_the_apostrophes_of_a_file_of_rejects_are_removed() -> None:
    rows: list[list[object]] = [["line", "id", "job", "reasons"], [4, 1, "'=Clerk", "id is missing"]]
    assert found(JOBS, table(rows)) == {2: ("1", "=Clerk")}
    without_reasons = [row[:-1] for row in rows]
    assert found(JOBS, table(without_reasons)) == {2: ("1", "'=Clerk")}


def test_numbers_are_floats_and_dates_are_instants_in_utc() -> None:
    data = table([[1, "Ada Lund", AT, 3, 4.0], [2, "Bo Ek", date(2021, 7, 27), "5", "6.0"]])
    assert found(EMPLOYEES, data) == {
        1: ("1", "Ada Lund", "2021-07-27T16:02:08", "3", "4"),
        2: ("2", "Bo Ek", "2021-07-27T00:00:00", "5", "6"),
    }


def test_dates_count_from_1904_where_the_workbook_says_so() -> None:
    data = table([[1, "Ada Lund", AT, 3, 4]], from_1904=True)
    assert found(EMPLOYEES, data) == {1: ("1", "Ada Lund", "2021-07-27T16:02:08", "3", "4")}


def test_a_fraction_of_a_second_is_kept() -> None:
    data = table([[1, "Ada Lund", AT.replace(microsecond=123000), 3, 4]])
    assert found(EMPLOYEES, data)[1][2].startswith("2021-07-27T16:02:08.123")


@pytest.mark.parametrize("shares_texts", [True, False])
def test_texts_are_shared_or_stand_in_their_cells(shares_texts: bool) -> None:
    rows: list[list[object]] = [["id", "job"], [1, "Clerk"], [2, "Clerk"], [3, 'Smith, "Jr"'], [4, "two\nlines"]]
    assert found(JOBS, table(rows, shares_texts=shares_texts)) == {
        2: ("1", "Clerk"),
        3: ("2", "Clerk"),
        4: ("3", 'Smith, "Jr"'),
        5: ("4", "two\nlines"),
    }


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (True, "TRUE"),
        (False, "FALSE"),
        (12.0, "12"),
        (1.5, "1.5"),
        (0.1 + 0.2, "0.3"),
        (123456789012345.0, "123456789012345"),
        (1e15, "1000000000000000"),
        (" \u200bClerk\u00ad ", "Clerk"),
        ("_x0041_", "_x0041_"),
        ("Zoë 😀", "Zoë 😀"),
        ("=1+1", "=1+1"),
    ],
)
def test_a_cell_becomes_the_text_that_excel_shows(cell: Any, text: str) -> None:
    assert job(cell) == ("1", text)


def test_a_formula_is_its_result_and_text_keeps_no_fonts() -> None:
    def fill(book: Workbook, sheet: Worksheet) -> None:
        sheet.write_row(0, 0, ["id", "job"])
        sheet.write_formula(1, 0, "=1+1", None, 2)
        sheet.write_formula(1, 1, '="Cl"&"erk"', None, "Clerk")
        sheet.write_row(2, 0, [3])
        sheet.write_rich_string(2, 1, "Smi", book.add_format({"bold": True}), "th")

    assert found(JOBS, workbook(fill)) == {2: ("2", "Clerk"), 3: ("3", "Smith")}


def test_an_error_of_excel_is_named_and_costs_only_its_row() -> None:
    def fill(_book: Workbook, sheet: Worksheet) -> None:
        for row, error in enumerate(("#N/A", "#DIV/0!", "#REF!", "Clerk"), 4):
            sheet.write_number(row, 3, row)
            sheet.write_formula(row, 4, "=A1", None, error)

    rows = found(JOBS, workbook(fill))
    assert [rows[line][0].partition(":")[0] for line in (5, 6, 7)] == ["job is an error of Excel"] * 3
    assert rows[8] == ("7", "Clerk")


def test_empty_rows_and_columns_around_and_between_are_skipped_and_a_line_is_the_row_of_the_sheet() -> None:
    rows: list[list[object]] = [["id", "job"], [], [1, "Clerk"], [None, " "], [], [2, "Smith"], [3]]
    assert found(JOBS, table(rows, at=(6, 2))) == {9: ("1", "Clerk"), 12: ("2", "Smith"), 13: ["job is missing"]}


def test_a_header_may_have_any_order_other_names_and_more_columns() -> None:
    data = table([["Hire Date", "building", "Job ID", "EMP_ID", "Full name", "dept-id"], [AT, 7, 4, 1, "Ada Lund", 3]])
    shown = reading(EMPLOYEES, data).file_format.shown()
    assert (shown["type"], shown["header"], shown["ignored_columns"]) == ("xlsx", True, ["building"])
    assert found(EMPLOYEES, data) == {2: ("1", "Ada Lund", "2021-07-27T16:02:08", "3", "4")}


def test_an_empty_column_between_the_named_ones_is_ignored() -> None:
    assert found(JOBS, table([["id", None, "job"], [1, None, "Clerk"]])) == {2: ("1", "Clerk")}


def test_without_a_header_columns_are_taken_by_position() -> None:
    data = table([[1, "Clerk"], [2, "Smith"]])
    assert found(JOBS, data) == {1: ("1", "Clerk"), 2: ("2", "Smith")}
    assert reading(JOBS, data).file_format.shown()["header"] is False


def test_a_title_above_the_rows_is_a_reject_and_columns_are_taken_by_position() -> None:
    data = table([["All our jobs"], [1, "Clerk"]])
    assert found(JOBS, data)[2] == ("1", "Clerk")
    assert len(found(JOBS, data)) == 2
    assert "by their position" in reading(JOBS, data).file_format.notices[0]


def test_a_header_that_lacks_a_column_fails_the_load() -> None:
    with pytest.raises(LoadError, match=r"id, name, datetime.*missing"):
        reading(EMPLOYEES, table([["id", "name", "datetime"], [1, "Ada", AT]]))
    with pytest.raises(LoadError, match="job is missing"):
        reading(JOBS, table([["id", "department"], [1, "Staff"]]))


def test_an_equal_header_further_below_is_skipped_and_another_order_fails_the_load() -> None:
    assert found(JOBS, table([["id", "job"], [1, "A"], ["ID", "Job"], [2, "B"]])) == {2: ("1", "A"), 4: ("2", "B")}
    with pytest.raises(LoadError, match="another order"):
        found(JOBS, table([["id", "job"], [1, "A"], ["job", "id"], ["B", 2]]))


def test_a_row_with_cells_beyond_the_last_column_is_a_reject() -> None:
    rows = found(JOBS, table([["id", "job"], [1, "A"], [2, "B", "", "see me"], [3, "C"]]))
    assert rows == {2: ("1", "A"), 3: ["expected 2 fields, found 4"], 4: ("3", "C")}


def test_only_the_first_visible_sheet_is_read() -> None:
    def hidden(_book: Workbook, sheet: Worksheet) -> None:
        sheet.write_row(0, 0, [9, "Hidden"])
        sheet.hide()

    def shown(_book: Workbook, sheet: Worksheet) -> None:
        sheet.write_row(0, 0, [1, "Clerk"])
        sheet.activate()
        sheet.set_first_sheet()

    def second(_book: Workbook, sheet: Worksheet) -> None:
        sheet.write(0, 300, "far to the right")

    assert found(JOBS, workbook(shown, second)) == {1: ("1", "Clerk")}
    assert found(JOBS, workbook(hidden, shown, second)) == {1: ("1", "Clerk")}


def test_a_merged_cell_holds_its_value_in_its_first_row_and_column() -> None:
    def fill(_book: Workbook, sheet: Worksheet) -> None:
        sheet.write_column(0, 0, [1, 2])
        sheet.merge_range(0, 1, 1, 1, "Clerk")

    assert found(JOBS, workbook(fill)) == {1: ("1", "Clerk"), 2: ["job is missing"]}


def test_cells_without_references_follow_one_another() -> None:
    rows = (
        '<row><c><v>1</v></c><c t="str"><v>Clerk</v></c></row><row><c r="A2"><v>2</v></c><c t="str"><v>B</v></c></row>'
    )
    assert found(JOBS, of_rows(rows)) == {1: ("1", "Clerk"), 2: ("2", "B")}


def test_cells_that_have_a_format_and_no_value_do_not_count() -> None:
    rows = '<row r="1"><c r="A1"><v>1</v></c><c r="B1" t="str"><v>A</v></c></row>'
    rows += '<row r="1048576"><c r="XFD1048576" s="0"/></row>'
    assert found(JOBS, of_rows(rows)) == {1: ("1", "A")}


def test_a_workbook_of_another_program_with_prefixes_is_read() -> None:
    data = table([["id", "job"], [1, "Clerk"]])
    sheet = parts(data)[SHEET].decode().replace("xmlns=", "xmlns:x=").replace("</", "</x:").replace("<x:x:", "<x:")
    sheet = sheet.replace("<", "<x:").replace("<x:/x:", "</x:").replace("<x:?", "<?")
    assert found(JOBS, changed(data, SHEET, sheet)) == {2: ("1", "Clerk")}


@pytest.mark.parametrize("rows", [[], [["id", "job"]], [[" "], [None]]])
def test_an_empty_sheet_has_no_rows(rows: Any) -> None:
    assert found(JOBS, table(rows)) == {}


def test_the_second_reading_finds_the_rows_on_their_lines() -> None:
    data = table([["job", "id"], ["Clerk", 1], ["two\nlines", 2], [], ["Smith", 3]])
    of_file = reading(JOBS, data)
    seeker = of_file.seeker(io.BytesIO())
    records = [seeker.record(line) for line in (3, 5)]
    assert [(record.line, record.raw, record.fields) for record in records] == [
        (3, b'"two\nlines",2', (b"2", b"two\nlines")),
        (5, b"Smith,3", (b"3", b"Smith")),
    ]


def test_rows_do_not_depend_on_where_a_reading_begins() -> None:
    data = table([["id", "job"], *([n, f"Job {n}"] for n in range(1, 9)), [9, None]])
    of_file = reading(JOBS, data)
    every = [token.line for token in of_file.tokens(io.BytesIO()) if isinstance(token, Record)]
    assert every == [10]
    later = list(of_file.tokens(io.BytesIO(), Checkpoint(0, 6)))
    assert [(token.line, token.lines) for token in later] == [(7, 3), (10, 1)]


def test_the_fast_path_does_not_change_what_a_row_is() -> None:
    """The same row takes the fast path if the rows around it are clean, and the slow path otherwise."""
    texts = [
        "Clerk",
        "a,b",
        'a"b',
        "#N/A",
        "null",
        "a\\b",
        "a\tb",
        "\u00a0x",
        "x\u200b",
        "é",
        "=1",
        "'",
        "a\rb",
        "x" * 10_001,
    ]
    rows = [[n, text] for n, text in enumerate(texts, 1)]
    together = found(JOBS, table(rows))
    apart = {n: found(JOBS, table([row]))[1] for n, row in enumerate(rows, 1)}
    assert together == apart


def test_a_workbook_of_many_rows_is_read_in_runs() -> None:
    rows = found(JOBS, table([n, f"Job {n}" * 4] for n in range(1, 30_001)))
    assert len(rows) == 30_000
    assert rows[29_999] == ("29999", "Job 29999" * 4)


def test_parts_may_be_stored_without_compression() -> None:
    assert found(JOBS, packed(parts(table([[1, "Clerk"]])), compression=0)) == {1: ("1", "Clerk")}
