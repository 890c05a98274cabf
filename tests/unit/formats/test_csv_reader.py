"""Tests the CSV reader: its fast path, its slow path, and the headers and records that it refuses."""

import csv
import io
import time
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.reasons import BACKSLASH_BEFORE_QUOTE, QUOTE_INSIDE, SPACE_BEFORE_QUOTE, TEXT_AFTER_QUOTE
from chalicelib.core.rules import check_fields
from chalicelib.formats.containers import HEAD
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_patterns import clean_lines, split
from chalicelib.formats.csv_reader import CHUNK, MAX_RECORD, NEVER_CLOSED, TOO_LONG, Reader
from chalicelib.formats.csv_seeker import Seeker
from chalicelib.formats.csv_tokens import Checkpoint, Clean, Record, Token
from chalicelib.formats.file_format import describe

DEPARTMENTS, EMPLOYEES = DATASETS["departments"], DATASETS["hired_employees"]
BY_POSITION = {name: CsvLayout.by_position(dataset) for name, dataset in DATASETS.items()}
Seen = tuple[int, str, object]


class Drip:
    """A stream that returns at most `size` bytes per read."""

    def __init__(self, data: bytes, size: int) -> None:
        self._file, self._size = io.BytesIO(data), size

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(self._size, size))


def seen(data: bytes, *, dataset: str = "departments", drip: int = 1 << 20, fast: bool = True) -> list[Seen]:
    """Return (line, kind, value) of every record, whichever path read it."""
    declared = DATASETS[dataset]
    found: list[Seen] = []
    line = 1
    try:
        file_format = describe(declared, data[: HEAD + 1], complete=len(data) <= HEAD)
    except LoadError as error:
        return [(1, "refused", error.detail)]
    for token in read(Reader(declared, Drip(data, drip), file_format.layout, fast=fast)):
        if isinstance(token, str):
            return [*found, (line, "refused", token)]
        assert token.line == line, "the tokens leave a gap or overlap"
        line += token.lines
        for record in _records(token):
            assert isinstance(record, Record)
            if record.fields is None:
                found.append((record.line, "problem", record.problem and record.problem.text))
                continue
            checked = check_fields(declared, record.fields)
            found.append((record.line, "row", checked.values) if checked.valid else (record.line, "bad", record.raw))
            assert checked.valid or not isinstance(token, Clean), "the fast path let a bad row through"
    return found


def read(tokens: Iterable[Token]) -> Iterator[Token | str]:
    """Yield the tokens, and then the text of the error if the reader refuses the file."""
    try:
        yield from tokens
    except LoadError as error:
        yield error.detail


def _records(token: object) -> Iterator[Record | str]:
    """Yield the records of a token, or the text of the reader's error."""
    if isinstance(token, Record | str):
        yield token
    if isinstance(token, Clean):
        for line, raw in enumerate(token.data.splitlines(), token.line):
            yield Record(line, 1, raw, tuple(split(raw, b",")))


def records_of(tokens: Iterable[object]) -> list[Record | str]:
    return [record for token in tokens for record in _records(token)]


def rows(*departments: tuple[int, int, str]) -> list[Seen]:
    return [(line, "row", (number, name)) for line, number, name in departments]


@pytest.mark.parametrize(
    "data",
    [
        b"1,Sales\n2,Ops\n",
        b"1,Sales\r\n2,Ops\r\n",
        b"1,Sales\n2,Ops",
        b"\xef\xbb\xbf1,Sales\n2,Ops\n",
        b'"1","Sales"\n2,"Ops"\n',
        b" 1 ,\tSales\n2,Ops \n",
    ],
)
def test_common_dialects_are_read(data: bytes) -> None:
    assert seen(data) == rows((1, 1, "Sales"), (2, 2, "Ops"))


@pytest.mark.parametrize(
    "header", [b"id,department\n", b'\xef\xbb\xbf"ID","Department"\r\n', b"\n\n Id , DEPARTMENT \n"]
)
def test_a_header_is_skipped(header: bytes) -> None:
    lines = header.count(b"\n")
    assert seen(header + b"1,Sales\n") == rows((lines + 1, 1, "Sales"))


@pytest.mark.parametrize(
    "header",
    [
        b"id,name,datetime,department_id,job_id",
        b"ID,Name,DateTime,Department ID,Job-Id",
        b"\xef\xbb\xbfid,name,date time,departmentid,JOBID",
        b"'id','name','datetime',\"\xe2\x80\x8bdepartment_id\",job_id\xc2\xa0",
        b"`id`,`name`,`datetime`,`department_id`,`job_id`",
        b"[id],[name],[datetime],[department_id],[job_id]",
        "“id”,„name“,«datetime»,‘department_id’,\\job_id\\".encode(),
    ],
)
def test_a_header_in_any_spelling_is_skipped(header: bytes) -> None:
    row = b"1,Ann,2021-07-27T16:02:08Z,1,2\n"
    [(line, kind, _)] = seen(header + b"\n" + row, dataset="hired_employees")
    assert (line, kind) == (2, "row")


@pytest.mark.parametrize(
    ("dataset", "header", "named"),
    [
        ("hired_employees", b"id,name,datetime,department_id", "id, name, datetime, department_id"),
        ("departments", b"id,job", "id, job"),
        ("departments", b"id,department,id", "id, department, id"),
        ("departments", b"id,id", "id, id"),
        ("departments", b"Department", "Department"),
        ("departments", b"id,\xff\0\x1b[31m", "id, \ufffd[31m"),
        ("departments", b"id,", "id"),
        ("departments", b"id," + b"x" * 50, "id, " + "x" * 40),
        ("departments", b"id" + b",a" * 30, "id" + ", a" * 19 + " and 11 more"),
        ("departments", b'"i\nd",job', "id, job"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_a_file_with_a_wrong_header_is_refused(dataset: str, header: bytes, named: str, before: bytes) -> None:
    wanted = ", ".join(DATASETS[dataset].column_names)
    [(_, kind, refusal)] = seen(before + header + b"\n1,x\n", dataset=dataset)
    assert kind == "refused"
    assert str(refusal).startswith(f"the header names {named}: ")
    assert str(refusal).endswith(f"; this file must have {wanted}, in any order")


@pytest.mark.parametrize("first", [b"7,Department", b"department 7,x", b'id,"department', b"+7,id"])
def test_a_first_record_that_is_not_a_header_is_data(first: bytes) -> None:
    [found, *rest] = seen(first + b"\n1,Sales\n")
    assert found[1] in ("row", "bad", "problem")
    assert rest == rows((2, 1, "Sales"))


def test_an_equal_header_may_be_repeated_anywhere() -> None:
    assert seen(b"id,department\n1,Sales\nID,Department\n2,Ops\n") == rows((2, 1, "Sales"), (4, 2, "Ops"))
    assert seen(b"id,department\nID,Department\n1,Sales\n") == rows((3, 1, "Sales"))
    assert seen(b"id,department\n\nid,job\n1,Sales\n")[0][1] == "refused"


@pytest.mark.parametrize(
    "before",
    [b"Hires of 2021\n", b"1,Ann,2021-07-27T16:02:08Z,1,2\n", b"x" * 2_000_000 + b"\n"],
)
@pytest.mark.parametrize(
    "header",
    [
        b"id,name,datetime,job_id,department_id\n",
        b'id, "name", "datetime", "job_id", "department_id"\n',
        b'"id" ,name,datetime,job_id,department_id\r\n',
        b"id,name,datetime,job_id,department_id\r",
        b"id;name;datetime;job_id;department_id\n",
    ],
)
def test_a_file_with_a_wrong_header_is_refused_wherever_the_header_stands(before: bytes, header: bytes) -> None:
    row = b"1,Ann,2021-07-27T16:02:08Z,1,2\n"
    [*_, last] = seen(before + header + row, dataset="hired_employees")
    assert last[1] == "refused"
    assert "names id, name, datetime, job_id, department_id, in another order" in str(last[2])


@pytest.mark.parametrize(
    "record",
    [
        b"id,x",
        b"x,Department",
        b"id,id",
        b"id,job,x",
        b"7,job",
        b'"7" ,job',
        b"id",
        b"id,job" + b" " * 4096,
        b"# id,job",
    ],
)
def test_a_file_with_a_record_that_may_be_a_bad_row_is_not_refused(record: bytes) -> None:
    first, bad, last = seen(b"1,Sales\n" + record + b"\n2,Ops\n")
    assert bad[1] != "refused"
    assert [first, last] == rows((1, 1, "Sales"), (3, 2, "Ops"))


def test_a_header_below_rows_that_have_its_order_is_skipped() -> None:
    assert seen(b"1,Sales\nid,department\n") == rows((1, 1, "Sales"))


def test_blank_lines_are_skipped_and_counted() -> None:
    assert seen(b"\n1,Sales\n  \r\n\n2,Ops\n\n") == rows((2, 1, "Sales"), (5, 2, "Ops"))


def test_quoted_fields_are_read() -> None:
    data = b'1,"Sales, ""North"""\n2,"two\nlines"\n3,"a\r\nb"\r\n4,\\.\n'
    assert seen(data) == rows((1, 1, 'Sales, "North"'), (2, 2, "two\nlines"), (4, 3, "a\r\nb"), (6, 4, "\\."))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"9", "expected 2 fields, found 1"),
        (b"9,a,b", "expected 2 fields, found 3"),
        (b'9,a"b', str(QUOTE_INSIDE)),
        (b'9,6" pipe', str(QUOTE_INSIDE)),
        (b'9,"a"b', str(TEXT_AFTER_QUOTE)),
        (b'9,"a" ', str(TEXT_AFTER_QUOTE)),
        (b'9,"say \\"hi\\" loud"', str(BACKSLASH_BEFORE_QUOTE)),
        (b'9,say \\"hi\\" loud', str(QUOTE_INSIDE)),
        (b'9,"a', NEVER_CLOSED.text),
        (b'9, "a"', str(SPACE_BEFORE_QUOTE)),
        (b'\xef\xbb\xbf"9","a"', str(SPACE_BEFORE_QUOTE)),
        (b"9," + b"x" * MAX_RECORD, TOO_LONG.text),
    ],
)
@pytest.mark.parametrize("drip", [1 << 20, 100_003])
def test_a_bad_line_does_not_affect_valid_lines(line: bytes, problem: str, drip: int) -> None:
    data = b"1,Sales\n" + line + b"\n2,Ops\n3,IT\n"
    assert seen(data, drip=drip) == [
        *rows((1, 1, "Sales")),
        (2, "problem", problem),
        *rows((3, 2, "Ops"), (4, 3, "IT")),
    ]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b'9,"note\n2,Phantom\n",extra', "expected 2 fields, found 3"),
        (b'"note\n2,Phantom\n"', "expected 2 fields, found 1"),
        (b'9,"a\n2,Phantom"b', str(TEXT_AFTER_QUOTE)),
        (b'9,"a\r\n2,Phantom\r\n"b,c"d', str(TEXT_AFTER_QUOTE)),
        (b'9,a"b,"c\n2,Phantom\n"', str(QUOTE_INSIDE)),
        (b'9,"a"b,"c\n2,Phantom\n"', str(TEXT_AFTER_QUOTE)),
        (b'9,"a\n2,""Phantom""\n",b"c', str(QUOTE_INSIDE)),
        (b'9,"a\n2,Phantom\n","b', NEVER_CLOSED.text),
        (b'9,"' + b"2,Phantom\n" * 100_000 + b'",b,"' + b"2,Phantom\n" * 100_000 + b'"', TOO_LONG.text),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("drip", [1 << 20, 100_003])
def test_a_quoted_line_break_in_a_rejected_record_does_not_start_a_record(
    record: bytes, problem: str, end: bytes, drip: int
) -> None:
    data = b"1,Sales\n" + record + end + b"3,IT\n"
    after = record.count(b"\n") + 3
    expected: list[Seen] = [*rows((1, 1, "Sales")), (2, "problem", problem), *rows((after, 3, "IT"))]
    assert seen(data, drip=drip) == expected
    assert seen(data, drip=drip, fast=False) == expected


def test_a_rejected_record_is_reported_with_all_its_lines() -> None:
    raw = b'9,"note\n2,Phantom\n",extra'
    [record] = records_of(Reader(DEPARTMENTS, io.BytesIO(raw + b"\r\n")))
    assert isinstance(record, Record)
    assert (record.line, record.lines, record.raw) == (1, 3, raw)


def test_an_open_quote_does_not_swallow_the_rows_up_to_the_next_opening_quote() -> None:
    expected = [(1, "problem", NEVER_CLOSED.text), *rows((2, 2, "Ops"), (3, 3, "IT"))]
    assert seen(b'1,"Sales\n2,Ops\n3,"IT"\n') == expected
    assert seen(b'"1","Sales\n"2","Ops"\n"3","IT"\n') == expected
    assert seen(b'1,"Sales\r\n2,Ops\r\n3,"IT"\r\n') == expected
    assert seen(b'1,"Sales\n2,Ops\n3,"I ""T""",more\n')[:2] == expected[:2]


def test_a_quote_that_another_one_closes_includes_everything_between() -> None:
    assert seen(b'1,"Sales\n2,Ops\n3,I"T\n4,HR\n') == [(1, "problem", str(TEXT_AFTER_QUOTE)), *rows((4, 4, "HR"))]
    assert seen(b'1,"Sales\n2,Ops\n3,"\n4,HR\n') == rows((1, 1, "Sales\n2,Ops\n3,"), (4, 4, "HR"))


def test_a_quote_that_is_never_closed_affects_only_its_own_line() -> None:
    assert seen(b'1,"Sales\n2,Ops\n3,IT') == [(1, "problem", NEVER_CLOSED.text), *rows((2, 2, "Ops"), (3, 3, "IT"))]


@pytest.mark.parametrize("size", [MAX_RECORD - 1, MAX_RECORD, MAX_RECORD + 1])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("drip", [1 << 22, 300_007])
def test_a_quote_may_be_closed_within_1_mib(size: int, end: bytes, drip: int) -> None:
    """The quoted field has `size` bytes and is the only field of its record."""
    quoted = b'"' + b"x" * (size - 4) + b"\n7" + b'"'
    assert len(quoted) == size
    found = seen(quoted + end + b"3,IT\n", drip=drip)
    closed: list[Seen] = [(1, "problem", "expected 2 fields, found 1")]
    not_closed: list[Seen] = [(1, "problem", NEVER_CLOSED.text), (2, "problem", str(QUOTE_INSIDE))]
    assert found == [*(closed if size <= MAX_RECORD else not_closed), *rows((3, 3, "IT"))]


@pytest.mark.parametrize(
    "line",
    [
        b'1,"a\n',
        b'1,"a","\n',
        b'1,"""\n',
        b'1,""\n',
        b'"\n',
        b'"a",\n,"',
        b'1,a"\n',
        b'1,"a" "\n',
        b"1,a,",
        b'1,"a",',
        b'9,"u\n2,"v"\n',
    ],
)
def test_malicious_quotes_take_linear_time(line: bytes) -> None:
    """Each line alone would open a quote of its own. To look 1 MiB ahead for each of these quotes would take hours."""
    data = b'1,"' + line * (3_000_000 // len(line))
    began = time.process_time()
    lines = sum(token.lines for token in Reader(DEPARTMENTS, io.BytesIO(data)))
    assert lines == data.count(b"\n") + (not data.endswith(b"\n"))
    assert time.process_time() - began < 60


def test_a_record_of_any_length_is_read_in_bounded_memory() -> None:
    class Endless:
        """A stream of short quoted fields. Each of them has a line break."""

        left = 200

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            return b'"a\n2,b",' * (size // 8) if self.left > 0 else b"\n1,Sales\n" if self.left == 0 else b""

    tracemalloc.start()
    tokens = list(Reader(DEPARTMENTS, Endless()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    lines = 199 * (CHUNK // 8) + 1
    assert [(t.line, t.lines, t.problem) for t in tokens if isinstance(t, Record)] == [(1, lines, TOO_LONG)]
    assert [(t.line, t.data) for t in tokens if isinstance(t, Clean)] == [(lines + 1, b"1,Sales\n")]
    assert peak < 10 * MAX_RECORD


def test_a_quoted_record_over_the_limit_ends_with_its_first_line() -> None:
    lines = 150_000
    data = b'1,"a\n' + b"2,Ops ops\n" * lines + b'"\n3,IT\n'
    found = seen(data)
    assert found[0] == (1, "problem", NEVER_CLOSED.text)
    assert found[1:-2] == [(n, "row", (2, "Ops ops")) for n in range(2, lines + 2)]
    assert found[-1] == (lines + 3, "row", (3, "IT"))


def test_a_line_of_any_length_is_read_in_bounded_memory() -> None:
    class Endless:
        left, held = 400, 0

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            return b"x" * size if self.left > 0 else b"\n1,Sales\n" if self.left == 0 else b""

    tokens = list(Reader(DEPARTMENTS, Endless()))
    assert [(t.line, t.problem, len(t.raw)) for t in tokens if isinstance(t, Record)] == [(1, TOO_LONG, MAX_RECORD)]
    assert isinstance(tokens[1], Clean)


def test_undecodable_lines_do_not_affect_clean_lines() -> None:
    data = b"1,Caf\xc3\xa9\n2,Caf\xe9\n3,\xff\n4,Zo\xc3\xab\n"
    assert seen(data) == [*rows((1, 1, "Café")), (2, "bad", b"2,Caf\xe9"), (3, "bad", b"3,\xff"), *rows((4, 4, "Zoë"))]


PIECES = st.sampled_from(
    [
        *(b"1", b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"Ann", b"Jos\xc3\xa9", b"\xff", b"\0", b" ", b"\xc2\xa0"),
        *(b"\\", b"\\.", b"\xe3\x80\x80", b"\xef\xbb\xbf", b"id,name,datetime,department_id,job_id\n"),
        *(b"2021-07-27T16:02:08Z", b"2021-02-29T00:00:00", b"0001-01-01T00:00:00+01:00"),
        *(b"1,Ann,2021-07-27T16:02:08Z,1,2\n", b'2,"Bob",2021-07-27 16:02:08.5+02:00,"1",2\r\n'),
        *(b"0,x,2021-07-27T16:02:08Z,1,1\n", b"1,Ann ,2021-07-27T16:02:08Z,01,2\n"),
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.sampled_from([1, 2, 3, 7, 64]))
def test_both_paths_agree_for_chunks_of_any_size(data: bytes, drip: int) -> None:
    """The fast path agrees with the slow path, wherever a chunk of the input ends."""
    expected = seen(data, dataset="hired_employees", fast=False)
    assert seen(data, dataset="hired_employees") == expected
    assert seen(data, dataset="hired_employees", drip=drip) == expected


@pytest.mark.parametrize("longer", [0, 1, 200_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n"])
@pytest.mark.parametrize("before", [0, 2000, 9000])  # lines before the long one, so that a chunk ends elsewhere
def test_a_record_with_a_long_ignored_field_is_rejected_wherever_a_chunk_ends(
    longer: int, end: bytes, before: int
) -> None:
    start = b"id,department,comment\n" + b"".join(b"%d,Sales,x\n" % i for i in range(10, 10 + before))
    known = b"7,Ops,"
    line = known + b"k" * (MAX_RECORD - len(known) + longer)
    data = start + line + end + b"8,Legal,z\n"
    layout = describe(DEPARTMENTS, data[: HEAD + 1], complete=False).layout
    for fast in (True, False):
        tokens = list(Reader(DEPARTMENTS, io.BytesIO(data), layout, fast=fast))
        found = [(t.line, t.problem, len(t.raw)) for t in tokens if isinstance(t, Record) and t.problem]
        assert found == ([(before + 2, TOO_LONG, MAX_RECORD)] if longer else [])
        assert sum(t.lines for t in tokens) == before + 3


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8), st.sampled_from(["\n", "\r\n"]), st.integers(1, 50))
def test_files_of_a_csv_writer_are_read(table: list[tuple[str, str]], end: str, drip: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("1", "first"), *table])
    records = [
        t for t in Reader(DEPARTMENTS, Drip(text.getvalue().encode(), drip), fast=False) if isinstance(t, Record)
    ]
    found = [tuple((field or b"").decode() for field in record.fields or ()) for record in records]
    assert found == [("1", "first"), *table]


@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(1, 40), st.integers(1, 3))
def test_records_are_found_again_by_line(data: bytes, drip: int, step: int) -> None:
    tokens = read(Reader(EMPLOYEES, io.BytesIO(data), fast=False))
    wanted = [t for t in tokens if isinstance(t, Record) and t.fields]
    again = Seeker(EMPLOYEES, Drip(data, drip), BY_POSITION["hired_employees"])
    for record in wanted[::step]:
        assert again.record(record.line) == record


@given(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(PIECES, max_size=30).map(b"".join),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_a_reader_goes_on_where_another_one_stopped(bom: bytes, body: bytes, drip: int, chunk: int) -> None:
    data = bom + body
    reader = Reader(EMPLOYEES, Drip(data, min(drip, chunk)))
    whole, done = records_of(read(Reader(EMPLOYEES, io.BytesIO(data)))), list[Record | str]()
    for token in read(reader):
        done += _records(token)
        if isinstance(token, str):
            return
        checkpoint = Checkpoint(reader.offset, token.line + token.lines - 1)
        rest = Reader(EMPLOYEES, io.BytesIO(data[checkpoint.offset :]), start=checkpoint)
        assert [*done, *records_of(read(rest))] == whole


@pytest.mark.parametrize("lines", range(1, 10))
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_last_record_is_found_again_however_many_lines_it_has(lines: int, end: bytes) -> None:
    name = b"\n".join([b"x"] * lines)
    assert Seeker(DEPARTMENTS, io.BytesIO(b'1,a\n2,"' + name + b'"' + end), BY_POSITION["departments"]).record(
        2
    ).fields == (
        b"2",
        name,
    )


def test_a_line_too_long_to_be_a_record_is_passed_in_bounded_memory() -> None:
    again = Seeker(
        DEPARTMENTS, Drip(b"1,x\n" + b"y" * (5 * MAX_RECORD) + b'\n2,"z\n"\n', 1 << 18), BY_POSITION["departments"]
    )
    assert again.record(1).fields == (b"1", b"x")
    tracemalloc.start()
    assert again.record(3) == Record(3, 2, b'2,"z\n"', (b"2", b"z\n"))
    assert tracemalloc.get_traced_memory()[1] < 4 * MAX_RECORD
    tracemalloc.stop()


def test_a_file_that_has_become_shorter_is_an_error() -> None:
    with pytest.raises(LookupError):
        Seeker(DEPARTMENTS, io.BytesIO(b"1,x\n"), BY_POSITION["departments"]).record(2)


def test_split_removes_quoting() -> None:
    assert split(b'"a ""b""",c,,"d,e"', b",") == [b'a "b"', b"c", b"", b"d,e"]


@pytest.mark.parametrize("line", [b"1234567890,Sales\n", b"1,Sales \n", b"1,\n", b'1,"Sales" \n', b"12"])
def test_a_run_of_clean_lines_ends_with_a_line(line: bytes) -> None:
    """Without a workaround, early releases of Python 3.11 end a match inside the first line that is not clean."""
    pattern = clean_lines(DEPARTMENTS, BY_POSITION["departments"])
    match = pattern.match(b"1,Ops\n" + line)
    assert match is not None
    assert match.group() == b"1,Ops\n"


def test_every_dataset_has_a_fast_path() -> None:
    line = b'1,"Ann",2021-07-27T16:02:08Z,1,2\n'
    [token] = Reader(EMPLOYEES, Drip(line * 3, 1 << 20))
    assert isinstance(token, Clean)
    assert token.for_copy() == line.replace(b'"', b"") * 3


def test_a_million_blank_lines_are_few_tokens() -> None:
    data = b"1,Clerk\n" + b" \t\r\n\n" * 500_000 + b"2,Smith\n"
    tokens = list(Reader(DATASETS["jobs"], io.BytesIO(data)))
    assert len(tokens) < 100
    assert sum(token.lines for token in tokens) == 1_000_002


@pytest.mark.parametrize("space", [b" ", b"\t", b"  "])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_break_in_quotes_after_a_space_does_not_start_a_record(space: bytes, end: bytes) -> None:
    data = b"1,Sales" + end + b"10," + space + b'"note' + end + b"11,Phantom" + end + b'"' + end + b"2,Ops" + end
    first, bad, last = seen(data)
    assert bad[:2] == (2, "problem")
    assert [first, last] == rows((1, 1, "Sales"), (5, 2, "Ops"))


def test_an_open_quote_after_a_space_does_not_swallow_a_row() -> None:
    data = b'10, "Sales\n2,Ops\n'
    for rest in (b"", b'3,"IT"\n', b'3, "IT"\n'):
        assert rows((2, 2, "Ops"))[0] in seen(data + rest)
