"""Tests files that are damaged, mixed or hostile. A bad record must not cause the loss of a good record, and must not
change how other records are read."""

import io
import time
from contextlib import suppress

import pytest

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.core.errors import LoadError
from chalicelib.core.reasons import NEVER_CLOSED, QUOTE_INSIDE, SPACE_BEFORE_QUOTE, TEXT_AFTER_QUOTE, Reason
from chalicelib.formats.containers import HEAD
from chalicelib.formats.csv_header import MAX_COLUMNS
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_tokens import Checkpoint, Skipped, Token
from chalicelib.formats.file_format import describe
from tests.unit.formats.test_file_format import described, loaded

DEPARTMENTS = DATASETS["departments"]
PATHS = pytest.mark.parametrize("fast", [True, False])


@PATHS
def test_a_line_that_is_not_utf8_does_not_break_lines_that_end_with_two_crs(fast: bool) -> None:
    """If an empty line remained between the lines, COPY would treat it as an empty row and fail the load."""
    found, [reasons] = loaded(DEPARTMENTS, b"1,A\r\r\n2,\xff\r\r\n3,C\r\r\n", fast=fast)
    assert (found, reasons) == ([("1", "A"), ("3", "C")], ["department is not valid UTF-8"])


@PATHS
def test_empty_fields_beyond_the_last_column_do_not_count(fast: bool) -> None:
    found, reasons = loaded(DEPARTMENTS, b"1,A,,\n2,B,x,, \n", fast=fast)
    assert (found, reasons) == ([("1", "A")], ["expected 2 fields, found 3"])


@pytest.mark.parametrize("blank", ["\x0b", " \x0c ", ";\x0b;"])
def test_a_line_of_white_space_ahead_of_a_header_is_blank(blank: str) -> None:
    file = f"{blank}\nid;department\n1;A\n".encode()
    assert (loaded(DEPARTMENTS, file), described(DEPARTMENTS, file).notices) == (([("1", "A")], []), ())


@PATHS
@pytest.mark.parametrize(("quoted", "reason"), [('5" pipe', QUOTE_INSIDE), ('"5" pipe', TEXT_AFTER_QUOTE)])
def test_quotes_in_a_text_do_not_hide_that_lines_end_with_cr(quoted: str, reason: Reason, fast: bool) -> None:
    found, reasons = loaded(DEPARTMENTS, f"2,{quoted}\r3,{quoted}\r".encode(), fast=fast)
    assert (found, reasons) == ([], [str(reason)] * 2)


def test_lines_end_with_cr_also_where_every_field_is_quoted() -> None:
    with pytest.raises(LoadError, match="the header names department_id: department is missing"):
        described(DEPARTMENTS, b'"department_id"\r"1"\r"2"\r')


def test_a_cr_that_the_first_bytes_cut_off_from_its_lf_is_no_line_end() -> None:
    start = b"1," + b"x" * (HEAD - 3) + b"\r"
    assert not described(DEPARTMENTS, start + b"\n2,B\n").coding.has_bare_cr
    assert described(DEPARTMENTS, start).coding.has_bare_cr


@PATHS
def test_a_quote_that_is_never_closed_does_not_hide_the_delimiter(fast: bool) -> None:
    assert loaded(DEPARTMENTS, b'1;"A\n2;B\n3;C\n', fast=fast) == ([("2", "B"), ("3", "C")], [str(NEVER_CLOSED)])
    assert loaded(DEPARTMENTS, b'"x\n"y"\n1|A\n', fast=fast)[0] == [("1", "A")]


def test_a_quote_that_may_be_closed_after_the_first_bytes_ends_the_known_records() -> None:
    assert described(DEPARTMENTS, b'"x\n1;A\n' + b"y" * HEAD + b'"\n').layout.delimiter == b","
    assert described(DEPARTMENTS, b'"x\n"y"\n1;A\n' + b"y" * HEAD).layout.delimiter == b";"


@PATHS
def test_a_header_whose_quote_is_never_closed_fails_the_file(fast: bool) -> None:
    with pytest.raises(LoadError, match="the header names department, id, in another order than the rows above it"):
        loaded(DEPARTMENTS, b'1,A\n"department,id\n2,B\n', fast=fast)


@PATHS
def test_rows_in_the_same_record_as_a_header_are_not_skipped_with_it(fast: bool) -> None:
    """In a file that has LF, CR does not end a line. So the rows are in the same record as the header."""
    found, reasons = loaded(DEPARTMENTS, b"id,department\n1,A\nid,department\r2,B\r3,C\n", fast=fast)
    assert (found, reasons) == ([("1", "A")], ["expected 2 fields, found 4"])


@PATHS
def test_a_header_that_has_line_breaks_in_its_names_is_skipped_again_when_it_is_repeated(fast: bool) -> None:
    header = b'"id","de\npart\nment","my\nnote"\n'
    found, reasons = loaded(DEPARTMENTS, header + b"1,A,\n" + header + b"2,B,\n", fast=fast)
    assert ([row[:2] for row in found], reasons) == ([("1", "A"), ("2", "B")], [])


@PATHS
def test_a_row_is_no_header_whatever_its_texts_are(fast: bool) -> None:
    file = b'department,id,note\n"id,department,x\n",5,\nB,6,\n'
    assert loaded(DEPARTMENTS, file, fast=fast) == ([("5", "id,department,x"), ("6", "B")], [])


def test_only_one_byte_order_mark_is_dropped_in_every_encoding() -> None:
    text = '\ufeff\ufeff"1",A\n2,B\n'
    files = [(text.encode(), UNDECLARED), (text.encode("utf-16le"), UNDECLARED)]
    files += [(text.encode("utf-16be"), Declarations.of({"encoding": "utf-16be"}))]
    for file, declared in files:
        assert loaded(DEPARTMENTS, file, declared) == ([("2", "B")], [str(SPACE_BEFORE_QUOTE)])


def test_a_header_with_more_columns_than_a_row_of_postgres_holds_fails_the_file() -> None:
    most = ",".join(("id", "department", *(f"c{number}" for number in range(MAX_COLUMNS - 2))))
    assert len(described(DEPARTMENTS, f"{most},,\n1,A\n".encode()).layout.positions) == MAX_COLUMNS
    with pytest.raises(LoadError, match=f"the header names {MAX_COLUMNS + 1} columns: a file may have {MAX_COLUMNS}"):
        described(DEPARTMENTS, f"{most},more\n1,A\n".encode())


def _stopped(dataset: Dataset, layout: CsvLayout, data: bytes) -> list[Token]:
    """Return the tokens of a file. A new reader continues after each token."""
    tokens: list[Token] = []
    start = Checkpoint()
    while True:
        reader = Reader(dataset, io.BytesIO(data[start.offset :]), layout, start=start)
        token = next(iter(reader), None)
        if token is None:
            return tokens
        tokens.append(token)
        has_records = start.records or not isinstance(token, Skipped)
        start = Checkpoint(reader.offset, token.line + token.lines - 1, has_records)


@pytest.mark.parametrize(
    "file",
    [
        b'\n\n"id","de\npartment"\n1,A\n',
        b"sep=,\nid,department\n1,A\nid,department\n2,B\n",
        b"id,department\nid,department\n1,A\n",
        b' "id", "department"\nid,department\n1,A\n',
    ],
)
def test_a_reader_that_goes_on_above_the_first_row_still_knows_the_header(file: bytes) -> None:
    layout = described(DEPARTMENTS, file).layout
    whole = list(Reader(DEPARTMENTS, io.BytesIO(file), layout))
    assert _stopped(DEPARTMENTS, layout, file) == whole


def test_a_reader_that_goes_on_above_the_first_row_refuses_a_header_below_the_first_bytes() -> None:
    file = b"\n" * HEAD + b"id,department,note\n1,A,\n"
    with pytest.raises(LoadError, match="does not end within the first 64 KiB"):
        _stopped(DEPARTMENTS, described(DEPARTMENTS, file).layout, file)


@pytest.mark.parametrize(
    "unit",
    [
        *(b'"', b'"\n', b'"x"\n', b'"a\n"b"\n', b' "', b'\t "', b'a"b', b'""\n"', b'"\n"a""', b'1,"x\n""y\n'),
        *(b"\r", b"\r\r\n", b"\n", b" ", b",", b";", b"\t", b"|", b';"', b"x\n", b"x", b"\0", b"\xff"),
        *(b"id,", b"id;", b"c,id|", b"1,", b"1;A\n", b"[", b'{"a\\"', b"<", b"sep=;\r"),
    ],
)
def test_any_beginning_is_understood_in_linear_time(unit: bytes) -> None:
    """16 times as many bytes take about 16 times as long. If the time were quadratic, they would take 256 times as
    long."""
    for complete in (True, False):
        short, long = (_seconds(unit, size, complete) for size in (HEAD // 16, HEAD))
        assert long < 0.02 or long < 64 * short, f"{short * 1000:.1f} ms, and {long * 1000:.1f} ms for 16 times as much"


def _seconds(unit: bytes, size: int, complete: bool) -> float:
    """Return the CPU seconds that `describe` takes for this many bytes: the least of three trials."""
    head = (unit * (size // len(unit) + 1))[:size]
    took = []
    for _ in range(3):
        start = time.process_time()
        with suppress(LoadError):
            describe(DEPARTMENTS, head, complete=complete)
        took.append(time.process_time() - start)
    return min(took)
