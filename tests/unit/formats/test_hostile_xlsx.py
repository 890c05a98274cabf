"""Tests workbooks that are damaged, or that were made to fill the memory. Each must fail with a clear error, and must
take a limited amount of memory."""

import io
import struct
import subprocess
import sys
import zlib
from random import Random
from zipfile import ZIP_BZIP2, ZipFile

import pytest
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Peekable
from chalicelib.formats import xlsx_parts, xlsx_sheet_size
from chalicelib.formats.xlsx_plain_rows import PlainRows
from chalicelib.formats.xlsx_sheet_size import SharedTexts, SheetSize, column_number
from chalicelib.ingest.file_reading import FileReading
from infra.venv import ROOT
from tests.workbooks import SHEET, STRINGS, changed, of_rows, packed, parts, table, workbook

JOBS = DATASETS["jobs"]
SMALL = table([["id", "job"], [1, "Clerk"]])
RELATIONS, BOOK = "xl/_rels/workbook.xml.rels", "xl/workbook.xml"


def read(data: bytes) -> None:
    reading = FileReading.of_file(JOBS, Peekable(io.BytesIO(data)))
    for _ in reading.tokens(io.BytesIO()):
        pass


def error(data: bytes) -> str:
    with pytest.raises(LoadError) as raised:
        read(data)
    return raised.value.detail


def entry_of(data: bytes, name: str) -> int:
    """Return the position of a part's entry in the directory of the archive."""
    return data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))


def test_a_file_cut_short_or_with_changed_bytes_is_no_workbook() -> None:
    for kept in (len(SMALL) - 1, len(SMALL) // 2, 600):
        assert "not a valid XLSX workbook" in error(SMALL[:kept])
    at = SMALL.index(b"sheet1.xml") + 20
    assert "not a valid XLSX workbook" in error(SMALL[:at] + bytes([SMALL[at] ^ 0x55]) + SMALL[at + 1 :])
    assert "not a valid XLSX workbook" in error(SMALL + b"more")
    assert "not a valid XLSX workbook" in error(SMALL[:-22] + b"PK\x05\x06" + b"\0" * 18)


def test_any_damage_ends_in_an_error_or_in_rows() -> None:
    random = Random(7)
    stored = packed(parts(table([["id", "job"], *([n, f"Job {n}"] for n in range(50))])), compression=0)
    endings = {True: 0, False: 0}
    for _ in range(400):
        data = bytearray(random.choice((SMALL, stored)))
        for _ in range(random.randint(1, 4)):
            data[random.randrange(4, len(data))] = random.randrange(256)
        try:
            read(bytes(data))
            endings[True] += 1
        except LoadError:
            endings[False] += 1
    assert endings[False] > 100


def test_damaged_xml_ends_in_an_error_or_in_rows() -> None:
    """The test above damages the archive. This test damages the XML inside it, and keeps the checksums valid. So the
    damage reaches the XML parsers."""
    random = Random(8)
    whole = parts(table([["id", "job"], *([n, f"Job {n % 3}"] for n in range(20))]))
    endings = {True: 0, False: 0}
    for _ in range(400):
        name = random.choice((SHEET, STRINGS, RELATIONS, BOOK, "xl/styles.xml"))
        part = bytearray(whole[name])
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(part))
            part[at : at + random.randint(0, 3)] = random.choice((b"", b"<", b'"', b"9", b"/>", b"\xff", b"&#0;"))
        try:
            read(packed(whole | {name: bytes(part)}))
            endings[True] += 1
        except LoadError:
            endings[False] += 1
    assert min(endings.values()) > 20


@pytest.mark.parametrize("missing", [BOOK, RELATIONS, SHEET, STRINGS])
def test_a_workbook_without_one_of_its_parts_is_refused(missing: str) -> None:
    assert "XLSX" in error(packed({name: part for name, part in parts(SMALL).items() if name != missing}))


def test_an_encrypted_part_is_refused() -> None:
    at = entry_of(SMALL, SHEET)
    assert "password" in error(SMALL[: at + 8] + b"\x01" + SMALL[at + 9 :])


def test_a_workbook_with_a_password_says_so() -> None:
    """Excel puts an encrypted workbook into a container that old Excel files use, too."""
    assert "with a password: save it as XLSX without" in error(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2000)


def test_a_file_of_more_than_20_mb_is_refused() -> None:
    large = packed(parts(SMALL) | {"xl/media/image1.png": Random(1).randbytes(20 * 2**20)})
    assert error(large) == "the XLSX file has more than 20 MB: save it as CSV UTF-8"


def test_a_part_that_inflates_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_parts, "MAX_INFLATED", 2**20)
    assert "decompresses to over 1 MB" in error(changed(SMALL, "xl/media/image1.png", b"\0" * 2**21))


@pytest.mark.parametrize("part", [SHEET, STRINGS, BOOK, RELATIONS])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_part_in_utf_16_is_refused_because_the_library_finds_no_cells_in_it(part: str, encoding: str) -> None:
    text = parts(SMALL)[part].decode().replace("UTF-8", "UTF-16")
    assert "in UTF-16; open it in Excel and save it again" in error(
        changed(SMALL, part, f"\ufeff{text}".encode(encoding))
    )


def test_a_directory_that_lies_about_sizes_is_refused() -> None:
    """The directory says that a part is smaller than it is. The checksum is that of the beginning of the part."""
    sheet = parts(SMALL)[SHEET]
    data = bytearray(packed(parts(SMALL)))
    at = entry_of(bytes(data), SHEET)
    struct.pack_into("<L", data, at + 16, zlib.crc32(sheet[:200]))
    struct.pack_into("<L", data, at + 24, 200)
    with ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.read(SHEET)) == 200  # zipfile itself trusts the directory
    assert "not a valid XLSX workbook" in error(bytes(data))


def test_a_directory_that_programs_read_in_different_ways_is_refused() -> None:
    assert "not a valid XLSX workbook" in error(b"PK\x03\x04" + b"xl/" * 20 + SMALL)  # bytes before the archive
    with_comment = SMALL[:-2] + b"\x04\0" + b"more"
    assert "not a valid XLSX workbook" in error(with_comment)
    twice = io.BytesIO(SMALL)
    with ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(SHEET, parts(SMALL)[SHEET])
    assert "two parts of the same name" in error(twice.getvalue())


def test_other_compressions_and_other_kinds_of_archives_are_refused() -> None:
    assert "compression is unknown" in error(packed(parts(SMALL), ZIP_BZIP2))
    spreadsheet = parts(SMALL) | {"content.xml": b"<x/>"}
    assert "another kind" in error(packed(spreadsheet))


def test_many_parts_are_refused() -> None:
    assert "more than 2000 parts" in error(packed(parts(SMALL) | {f"xl/media/{n}.png": b"" for n in range(2000)}))


def test_entities_are_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
    rows = '<row r="1"><c r="A1" t="str"><v>&c;</v></c></row>'
    assert "declares entities" in error(of_rows(rows, bomb))
    strings = parts(SMALL)[STRINGS].replace(b"?>", b"?>" + bomb.encode(), 1)
    assert "declares entities" in error(changed(SMALL, STRINGS, strings))


def test_deeply_nested_elements_are_refused() -> None:
    assert "nested too deeply" in error(of_rows("<a>" * 1000 + "</a>" * 1000))


def test_a_sheet_has_at_most_200_columns() -> None:
    read(table([["id", "job", *(f"column {n}" for n in range(198))], [1, "Clerk"]]))
    wide = table([["id", "job", *(f"column {n}" for n in range(199))], [1, "Clerk"]])
    assert "more than 200 columns" in error(wide)
    read(table([["id", "job"], [1, "Clerk"]], at=(0, 300)))  # only the width of the cells counts


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        "<row r='1'><c r='A1'><v>1</v></c></row><row r='1048576'><c t='n'  r = 'XFD1048576'><v>1</v></c></row>",
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c x="&gt;" r="XFD1048576"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="&#88;FD1048576"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="xfd1048576"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1048576"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048575">' + "<c><v>1</v></c>" * 200 + "</row>",
        '<row r="1048576"><c r="ZZZZZZZ1"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="4294967295"><c><v>1</v></c></row>',
    ],
)
def test_a_cell_far_away_is_refused_before_the_space_between_is_taken(rows: str) -> None:
    assert "XLSX workbook" in (found := error(of_rows(rows))) or "spans over 4000000 cells" in found


def test_a_sheet_that_no_relation_names_clearly_is_measured_as_well() -> None:
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    data = of_rows(far)
    another = b'<Relationship Id="rId1" Target="theme/theme1.xml"/></Relationships>'
    doubled = parts(data)[RELATIONS].replace(b"</Relationships>", another)
    assert "spans over" in error(packed(parts(data) | {RELATIONS: doubled}))
    renamed = {("XL/worksheets/Sheet1.xml" if name == SHEET else name): part for name, part in parts(data).items()}
    assert "spans over" in error(packed(renamed))


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="1"><c><v>1</v></c></row>',
        '<row><c r="A1"><v>1</v></c></row>',
        '<row r="1"><c r="A2"><v>1</v></c></row>',
        '<row r="1"><!-- <c r="A1"><v>1</v></c> --></row>',
        '<row r="1"><c r="A1" x="<"><v>1</v></c></row>',
        "<row r='1'><c r='A1'><v>1</v></c></row>",
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="str"><v>t="s"</v></c></row>',
        '<row r="1"><c r="A1" t="s"><v>7</v></c></row>',
        '<row r="2"><c r="A2"><v>1</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>',
        '<row r="1"></row></sheetData><sheetData><row r="1"><c r="A1"><v>1</v></c></row>',
        '<row r="1"></row></sheetData><x:c r="XFD1048576"><x:v>1</x:v></x:c><sheetData>',
    ],
)
def test_a_sheet_in_which_a_pattern_could_miss_a_cell_is_left_to_the_parser(rows: str) -> None:
    assert not PlainRows([3]).read([parts(of_rows(rows))[SHEET]])


def test_a_sheet_as_programs_write_it_is_measured_by_patterns_as_by_the_parser() -> None:
    def fill(book: Workbook, sheet: Worksheet) -> None:
        sheet.write_row(2, 3, ["id", "job", "note"], book.add_format({"bold": True}))
        for row in range(3, 900):
            sheet.write_row(row, 3, [row, f"Job {row % 7}", row / 8])
            sheet.write_formula(row, 6, f"=D{row}", None, "#N/A" if row % 90 == 0 else 1)
        sheet.write_blank(1000, 30, None, book.add_format({"bold": True}))

    data = workbook(fill)
    shared = SharedTexts()
    shared.read([parts(data)[STRINGS]])
    plain, parsed = PlainRows(shared.sizes), SheetSize(shared.sizes)
    sheet = parts(data)[SHEET]
    assert plain.read(sheet[at : at + 1000] for at in range(0, len(sheet), 1000))
    parsed.read([sheet])
    assert ({column_number(c.decode()) for c in plain.columns}, plain.longest) == ({4, 5, 6, 7}, 900)
    assert plain.text_size == sum(map(len, ("id", "job", "note"))) + 897 * len("Job 1")
    assert {(int(row), column_number(c.decode())): text.decode() for c, row, text in plain.errors} == {
        (row, column): text for row, cells in parsed.errors.items() for column, text in cells.items()
    }
    assert len(parsed.errors) == 9


def test_rows_in_disorder_are_refused_because_a_library_would_lose_some() -> None:
    assert "ascending" in error(
        of_rows('<row r="2"><c r="A2"><v>1</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>')
    )


def test_a_text_that_many_cells_share_is_refused_before_it_is_copied() -> None:
    def fill(_book: Workbook, sheet: Worksheet) -> None:
        for row in range(4000):
            sheet.write_string(row, 0, "x" * 32_000)

    data = workbook(fill)
    assert len(data) < 100_000
    assert "the texts of the first sheet have over 96 MB" in error(data)


def test_too_many_errors_of_excel_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_sheet_size, "MAX_ERRORS", 3)
    assert "correct their formulas" in error(of_rows("<row>" + '<c t="e"><v>#N/A</v></c>' * 4 + "</row>"))


MEASURED = """
import io, resource, sys
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Peekable
from chalicelib.ingest.file_reading import FileReading
from tests.workbooks import of_rows, table
rows = {rows}
data = of_rows(rows) if isinstance(rows, str) else table(rows)
del rows
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
try:
    for _ in FileReading.of_file(DATASETS["jobs"], Peekable(io.BytesIO(data))).tokens(io.BytesIO()):
        pass
    print("read")
except LoadError as error:
    print(error.detail)
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize(
    ("rows", "most"),
    [
        ("'<row>' + '<c/>' * 1_000_000 + '</row>'", 60),  # empty cells take no memory
        ("'<row><c><v>1</v></c><c t=\"str\"><v>a</v></c></row>' * 200_000", 100),
    ],
)
def test_a_sheet_takes_memory_by_the_cells_that_hold_something(rows: str, most: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(rows=rows)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said, peak = done.stdout.splitlines()
    assert said == "read"
    assert int(peak) < most  # MB; the interpreter itself takes about 35


def test_too_many_elements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_sheet_size, "MAX_ELEMENTS", 1000)
    assert "too many elements" in error(of_rows("<a/>" * 1001))
