"""Synthetic hired employees: 1 % of the rows are broken in different ways, and 5 % of them repeat an id.

Everything is generated from a seed. Each file comes with the rows that a perfect loader would store: the valid rows,
and only the last one of each id. The limits load exactly these rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from random import Random

from xlsxwriter import Workbook

SEED = 20_210_101
_START = datetime(2021, 1, 1, tzinfo=UTC)
_SECONDS = 2 * 365 * 86_400  # hire dates lie within two years
_FIRST = ("Ada", "Bem", "Cleo", "Dario", "Edda", "Fenn", "Gita", "Hugo", "Ines", "Juno", "Kofi", "Lune", "Mirza", "Noë")
_LAST = ("Albek", "Brencombe", "Cordottir", "Dalerro", "Eldfell", "Fargaard", "Grenhurst", "Holini", "Istkamp", "Lund")


@dataclass(frozen=True)
class Shape:
    """The form of a file: the style of its CSV, and the numbers of departments and jobs that its rows refer to."""

    departments: int = 12
    jobs: int = 183
    style: str = "plain"  # a key of _STYLES


@dataclass(frozen=True)
class Employees:
    """A CSV file, its valid rows (one for each id, in the order of the file), and the number of its broken rows."""

    file: bytes
    valid: bytes
    rows: int
    rejected: int


def parents(count: int, word: str) -> bytes:
    """Return a CSV file of departments or jobs with the ids from 1 to `count`."""
    return "".join(f"{i},{word} {i}\n" for i in range(1, count + 1)).encode()


def employees(rows: int, shape: Shape | None = None, *, first_id: int = 1, step: int = 1) -> Employees:
    """Return a CSV file with `rows` rows. The ids are `first_id`, `first_id + step` and so on.

    Every twentieth row repeats an earlier id, and every hundredth row is broken.
    """
    shape = shape or Shape()
    random = Random(SEED + first_id)  # noqa: S311 - the random numbers are not used for secrets
    style, stored = _STYLES[shape.style], dict[int, str]()
    write, lines, rejected, next_id = style.line, [style.header], 0, first_id
    for number, broken in zip(range(rows), _broken(), strict=False):
        repeats = number % 20 == 19
        row_id = random.randrange(first_id, next_id, step) if repeats else next_id
        row = _row(random, row_id, shape)
        if number % 100 == 50:
            lines.append(write(broken(row)))
            rejected += 1
            continue
        next_id += 0 if repeats else step
        lines.append(write(row))
        stored.pop(row_id, None)  # the last row of an id replaces the earlier ones
        stored[row_id] = ",".join(row)
    valid = "\n".join(stored.values()) + "\n"
    return Employees("".join(lines).encode(style.encoding), valid.encode(), rows, rejected)


def workbook(data: Employees) -> bytes:
    """Return the rows of a plain file as an XLSX workbook. Its cells contain numbers and dates as Excel stores them."""
    file = BytesIO()
    book = Workbook(file, {"constant_memory": True})
    sheet, dates = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    for row, line in enumerate(data.file.decode().splitlines()):
        for column, text in enumerate(line.split(",")):
            if text.isdigit():
                sheet.write_number(row, column, int(text))
            elif column == 2 and (at := _instant(text)):
                sheet.write_datetime(row, column, at, dates)
            else:
                sheet.write_string(row, column, text)
    book.close()
    return file.getvalue()


def _instant(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None


Row = tuple[str, str, str, str, str]


def _row(random: Random, row_id: int, shape: Shape) -> Row:
    drawn = random.getrandbits(60)
    at = _START + timedelta(seconds=drawn % _SECONDS)
    name = f"{_FIRST[drawn % 14]} {_LAST[(drawn >> 8) % 10]}"
    department, job = (drawn >> 20) % shape.departments + 1, (drawn >> 40) % shape.jobs + 1
    return str(row_id), name, at.strftime("%Y-%m-%dT%H:%M:%SZ"), str(department), str(job)


def _broken() -> Iterator[Callable[[Row], Row]]:
    """Yield functions that break a row: the first function 100 times, then the second one 100 times, and so on."""
    ways: list[Callable[[Row], Row]] = [
        lambda r: ("", *r[1:]),
        lambda r: (r[0], "", *r[2:]),
        lambda r: (*r[:2], "", *r[3:]),
        lambda r: (*r[:3], "", r[4]),
        lambda r: (*r[:4], ""),
        lambda r: (f"{r[0]}.5", *r[1:]),
        lambda r: (*r[:2], r[2].replace("-", "/"), *r[3:]),
        lambda r: (*r[:3], "2000000001", r[4]),
        lambda r: (*r[:4], "2000000001"),
        lambda r: (*r[:2], "2021-02-30T10:00:00Z", *r[3:]),
    ]
    turn = 0
    while True:
        for _ in range(100):
            yield ways[turn % len(ways)]
        turn += 1


def _plain(row: Row) -> str:
    return ",".join(row) + "\n"


def _quoted(row: Row) -> str:
    return '"' + '","'.join(row) + '"\n'


def _crlf(row: Row) -> str:
    return ",".join(row) + "\r\n"


def _offset(row: Row) -> str:
    """Return the row with its instant written with the offset +02:00."""
    try:
        at = datetime.fromisoformat(row[2]) + timedelta(hours=2)
    except ValueError:
        return _plain(row)
    return ",".join((*row[:2], at.strftime("%Y-%m-%dT%H:%M:%S+02:00"), *row[3:])) + "\n"


def _semicolons(row: Row) -> str:
    return ";".join(row) + "\n"


def _permuted(row: Row) -> str:
    return f"{row[4]},{row[1]},{row[0]},{row[3]},{row[2]}\n"


def _ignoring(row: Row) -> str:
    return f"{row[0]},Building 7,{row[1]},{row[2]},{row[3]},{row[4]},full time\n"


def _decimals(row: Row) -> str:
    """Write whole numbers with a decimal, such as `12.0`. pandas writes a column in this form if a value is missing."""
    numbers = (f"{text}.0" if text.isdigit() else text for text in (row[0], row[3], row[4]))
    first, department, job = numbers
    return f"{first},{row[1]},{row[2]},{department},{job}\n"


@dataclass(frozen=True)
class _Style:
    """A way to write a file. `line` writes the line of a row, and `header` is the line before all rows."""

    line: Callable[[Row], str]
    header: str = ""
    encoding: str = "utf-8"


_STYLES = {
    "plain": _Style(_plain),
    "quoted": _Style(_quoted),
    "crlf": _Style(_crlf),
    "offset": _Style(_offset),
    "semicolons": _Style(_semicolons),
    "permuted": _Style(_permuted, "job_id,name,id,department_id,datetime\n"),
    "two ignored columns": _Style(_ignoring, "id,building,name,datetime,department_id,job_id,contract\n"),
    "UTF-16": _Style(_plain, encoding="utf-16"),
    "decimal ids": _Style(_decimals),
}
