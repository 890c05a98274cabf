"""Tests that the second reading of a CSV file finds the records of the first one, also if it leaves out parts."""

import io

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.datasets import DATASETS
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_marks import MarkingReader, Marks
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_seeker import Jumps, Seeker
from chalicelib.formats.csv_tokens import Checkpoint, Record
from tests.unit.formats.test_csv_reader import PIECES, Drip

EMPLOYEES = DATASETS["hired_employees"]
LAYOUT = CsvLayout.by_position(EMPLOYEES)
BOM = b"\xef\xbb\xbf"  # in the middle of a file, it belongs to a record
FILES = st.lists(st.one_of(PIECES, st.just(BOM + b"5,Ed,2021-01-01,1,1\n")), max_size=30).map(b"".join)


def marked(data: bytes, start: Checkpoint, marks: Marks, drip: int = 1 << 20) -> list[Record]:
    """Read a file from `start` to its end, and return the records that can be asked for."""
    reader = Reader(EMPLOYEES, Drip(data[start.offset :], drip), LAYOUT, start=start, fast=False)
    return [t for t in MarkingReader(reader, start, marks) if isinstance(t, Record) and t.fields]


@given(
    st.sampled_from([b"", BOM]),
    FILES,
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 40),
    st.integers(1, 3),
)
def test_the_same_records_are_found_whatever_is_left_out(
    bom: bytes, body: bytes, distance: int, least: int, drip: int, step: int
) -> None:
    data, marks = bom + body, Marks(distance)
    wanted = marked(data, Checkpoint(), marks, drip)
    again = Seeker(EMPLOYEES, Drip(data, drip), LAYOUT, Jumps(marks, lambda at: Drip(data[at:], drip), least))
    for record in wanted[::step]:
        assert again.record(record.line) == record


@given(FILES, st.integers(0, 30), st.integers(1, 60))
def test_the_same_records_are_found_if_only_a_part_has_marks(body: bytes, records: int, distance: int) -> None:
    """The first invocation of a large load has read some records. The marks are those of the last invocation."""
    reader, lines = Reader(EMPLOYEES, io.BytesIO(body), LAYOUT, fast=False), 0
    for token, _ in zip(reader, range(records), strict=False):
        lines += token.lines
    start, marks = Checkpoint(reader.offset, lines, lines > 0), Marks(distance)
    if lines == 0:
        start = Checkpoint()
    marked(body, start, marks)
    again = Seeker(EMPLOYEES, io.BytesIO(body), LAYOUT, Jumps(marks, lambda at: io.BytesIO(body[at:]), 1))
    for record in marked(body, Checkpoint(), Marks()):
        assert again.record(record.line) == record


def test_only_the_parts_with_wanted_records_are_read_again() -> None:
    rows = [b"%d,Ann,2021-07-27T16:02:08Z,1,1\n" % i for i in range(1, 280_001)]
    data, marks, opened = b"".join(rows), Marks(), list[io.BytesIO]()
    for _ in MarkingReader(Reader(EMPLOYEES, io.BytesIO(data), LAYOUT), Checkpoint(), marks):
        pass

    def open_at(offset: int) -> io.BytesIO:
        opened.append(io.BytesIO(data[offset:]))
        return opened[-1]

    again = Seeker(EMPLOYEES, open_at(0), LAYOUT, Jumps(marks, open_at))
    for line in (3, 99_999, *range(100_001, 180_002, 10_000), 279_998):
        assert again.record(line).raw + b"\n" == rows[line - 1]
    assert len(opened) == 3
    assert sum(stream.tell() for stream in opened) < len(data) * 0.6
