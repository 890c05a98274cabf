"""Generates the sample data: invented departments, jobs and employees, with invalid records planted among them.

All data come from one seed, so they are the same every time. Every line has its expected result: the row that is
stored, or the reasons of its reject. `python -m infra.sample FOLDER` writes the files, for people who want to see them.
"""

import gzip
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from random import Random

SEED = 20210727
DEPARTMENTS, JOBS, EARLY, EMPLOYEES = 15, 60, 120, 2000
NOBODY = 2_000_000_001  # the id of a department or job that does not exist
Stored = tuple[int | str | datetime, ...]

_ID = "is not a whole number from 1 to 2147483647"
_DATE = "datetime is not a date-time: write 2021-07-27 or 2021-07-27T16:02:08Z"
_DAY_FIRST = f"{_DATE}, or declare dates=dmy (27/07/2021) or dates=mdy (07/27/2021) for the file"
_QUOTES = "quote the whole field, and double the quotes inside"
_INSIDE = f"a quote stands inside an unquoted field: {_QUOTES}"
_AFTER = f"text follows a closing quote: {_QUOTES}"
_UNCLOSED = "a quote is never closed (or not within 1 MiB): close it, or quote the whole field and double the quote"


@dataclass(frozen=True)
class Line:
    """A record without its line end, with its expected row or reasons. A header or a blank line has neither."""

    raw: bytes
    row: Stored | None = None
    reasons: tuple[str, ...] = ()

    @property
    def is_record(self) -> bool:
        return self.row is not None or bool(self.reasons)


@dataclass(frozen=True)
class File:
    """An object for the landing bucket."""

    key: str
    dataset: str
    lines: tuple[Line, ...]
    newline: bytes = b"\n"
    bom: bool = False

    @cached_property
    def text(self) -> bytes:
        """Return the CSV before compression."""
        return (b"\xef\xbb\xbf" if self.bom else b"") + b"".join(line.raw + self.newline for line in self.lines)

    @property
    def body(self) -> bytes:
        return gzip.compress(self.text, mtime=0) if self.key.endswith(".gz") else self.text

    @property
    def received(self) -> int:
        return sum(line.is_record for line in self.lines)

    @property
    def rejects(self) -> dict[int, tuple[str, ...]]:
        """Return the planted reasons by physical line; the first line is 1."""
        rejects, number = {}, 1
        for line in self.lines:
            if line.reasons:
                rejects[number] = line.reasons
            number += line.raw.count(b"\n") + 1
        return rejects

    @property
    def rows(self) -> dict[int | str | datetime, Stored]:
        """Return the rows that a load of this file stores, by id: the last valid row of each id."""
        return {line.row[0]: line.row for line in self.lines if line.row is not None}

    @property
    def superseded(self) -> int:
        return sum(line.row is not None for line in self.lines) - len(self.rows)


@dataclass(frozen=True)
class Sample:
    """The files, in the order in which the demo loads them.

    `early` holds employees whose departments and jobs do not exist yet. `parents` holds these departments and jobs, in
    any order. `late` holds the other employees.
    """

    early: File
    parents: tuple[File, ...]
    late: tuple[File, ...]

    @property
    def files(self) -> tuple[File, ...]:
        return (self.early, *self.parents, *self.late)

    def rows(self, dataset: str) -> dict[int | str | datetime, Stored]:
        """Return the table's contents once all files are loaded."""
        return {key: row for file in self.files if file.dataset == dataset for key, row in file.rows.items()}


@cache
def sample() -> Sample:
    """Generate the files. They are the same every time."""
    random = Random(SEED)  # noqa: S311 - not used for secrets
    people = _People(random)
    hired = [people.hire(number) for number in range(1, EMPLOYEES + 1)]
    rest = hired[EARLY:]
    years = {year: [line for line in rest if _year(line) == year] for year in (2021, 2022)}
    dirty = [*years[2021], *_odd(), *_broken(), *_repeated()]
    random.shuffle(dirty)
    return Sample(
        early=File("sample/early/hired_employees.csv", "hired_employees", tuple(hired[:EARLY])),
        parents=(
            File("sample/departments.csv", "departments", tuple(_departments()), newline=b"\r\n", bom=True),
            File("sample/jobs.csv", "jobs", tuple(_jobs())),
        ),
        late=(
            File("sample/hired_employees_2021.csv", "hired_employees", _in_order(dirty)),
            File("sample/hired_employees_2022.csv.gz", "hired_employees", tuple(years[2022])),
        ),
    )


# --- valid rows ------------------------------------------------------------------------------------

_DEPARTMENT_NAMES = (
    "Tidal Energy", "Map Room", "Night Shift", "Seed Library", "Repairs", "Letters", "Weather Desk", "Archive",
    "Canteen", "Glass Works", "Field Office", "Signals", "Harbour", "Orchard", "Règlement & Révision",
)  # fmt: skip
_RANKS = ("Assistant", "Junior", "Senior", "Lead", "Chief")
_CRAFTS = (
    "Cartographer", "Lamp Keeper", "Archivist", "Ferry Pilot", "Glazier", "Beekeeper", "Proofreader", "Surveyor",
    "Rope Maker", "Cook", "Meteorologist", "Tuner",
)  # fmt: skip
_FIRST = ("Ada", "Bem", "Cleo", "Dario", "Edda", "Fenn", "Gita", "Hugo", "Ines", "Juno", "Kofi", "Lune", "Mirza", "Noë")
_LAST_STARTS = ("Al", "Bren", "Cor", "Dal", "Eld", "Far", "Gren", "Hol", "Ist", "Kar", "Lind", "Mor")
_LAST_ENDS = ("bek", "combe", "dottir", "erro", "fell", "gaard", "hurst", "ini", "kamp", "lund")


class _People:
    """Generates employees. Some departments hire far more than others, so that the reports show differences."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._departments = [random.randint(1, 12) for _ in range(DEPARTMENTS)]

    def hire(self, number: int) -> Line:
        pick = self._random
        name = f"{pick.choice(_FIRST)} {pick.choice(_LAST_STARTS)}{pick.choice(_LAST_ENDS)}"
        at = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(seconds=pick.randrange(2 * 365 * 86_400))
        department = pick.choices(range(1, DEPARTMENTS + 1), self._departments)[0]
        return _employee(number, name, at.strftime("%Y-%m-%dT%H:%M:%SZ"), department, pick.randint(1, JOBS))


def _employee(
    number: int, name: str, at: str, department: int = 1, job: int = 1, *, written: str | None = None
) -> Line:
    """Return a valid employee. `written` is the name as the file has it, if it differs from the stored name."""
    raw = f"{number},{name if written is None else written},{at},{department},{job}"
    return Line(raw.encode(), (number, name, _utc(at), department, job))


def _utc(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _year(line: Line) -> int:
    assert line.row is not None
    at = line.row[2]
    assert isinstance(at, datetime)
    return at.year


def _departments() -> Iterator[Line]:
    """Yield the lines of the departments after a header. The file also has a byte order mark and CRLF line ends."""
    yield Line(b"ID,Department")
    for number, name in enumerate(_DEPARTMENT_NAMES, 1):
        yield Line(f"{number},{name}".encode(), (number, name))
    yield _bad("16,", "department is missing")
    yield _bad("0,Nowhere", f"id {_ID}")


def _jobs() -> Iterator[Line]:
    names = [f"{rank} {craft}" for rank in _RANKS for craft in _CRAFTS]
    names[6], names[7] = "Proofreader, Assistant", 'Assistant "Theodolite" Surveyor'
    for number, name in enumerate(names, 1):
        quoted = '"' + name.replace('"', '""') + '"' if set(name) & set(',"') else name
        yield Line(f"{number},{quoted}".encode(), (number, name))
    yield _bad("61,Cook, Night", "expected 2 fields, found 3")
    yield _bad("62", "expected 2 fields, found 1")


# --- records for every rule ----------------------------------------------------------


def _odd() -> Iterator[Line]:
    """Yield unusual but valid records."""
    ids = iter(range(5001, 5100))
    yield _employee(next(ids), "Lindlund, Ada", "2021-03-01T09:00:00Z", written='"Lindlund, Ada"')
    yield _employee(next(ids), 'Ada "Ace" Lund', "2021-03-02T09:00:00Z", written='"Ada ""Ace"" Lund"')
    yield _employee(next(ids), "Ada\nLund", "2021-03-03T09:00:00Z", written='"Ada\nLund"')
    yield _employee(next(ids), "Ada\n\nvan Lund", "2021-03-04T09:00:00Z", written='"Ada\n\nvan Lund"')
    yield _employee(next(ids), "Third Quarter", "2021-06-30T23:30:00-05:00")  # it is July in UTC
    yield _employee(next(ids), "Last Year", "2022-01-01T01:00:00+09:00")  # it is still 2021 in UTC
    yield _employee(next(ids), "No Offset", "2021-07-27T16:02:08")
    yield _employee(next(ids), "Day Only", "2021-07-27")
    yield _employee(next(ids), "Basic Format", "20210727T160208Z")
    yield _employee(next(ids), "Micro Second", "2021-07-27T16:02:08.123456+00:00")
    yield _employee(next(ids), "Wide Spaces", "2021-07-27T16:02:08Z", written="  Wide Spaces\t ")
    yield _employee(next(ids), "Žofie Ångström 北川", "2021-07-27T16:02:08Z")
    yield Line(b"0005050,Leading Zeros,2021-07-27,01,002", (5050, "Leading Zeros", _utc("2021-07-27"), 1, 2))
    yield Line(b'"5051","All Quoted","2021-07-27","1","2"', (5051, "All Quoted", _utc("2021-07-27"), 1, 2))
    yield Line(b"")
    yield Line(b"   ")


def _broken() -> Iterator[Line]:
    at = "2021-05-05T10:00:00Z"
    yield _bad(f",No Id,{at},1,1", "id is missing")
    yield _bad(f"6001,,{at},1,1", "name is missing")
    yield _bad(f'6002,"  ",{at},1,1', "name is missing")
    yield _bad("6003,No Datetime,,1,1", "datetime is missing")
    yield _bad(f"6004,No Department,{at},,1", "department_id is missing")
    yield _bad(f"6005,No Job,{at},1,", "job_id is missing")
    columns = ("id", "name", "datetime", "department_id", "job_id")
    yield _bad('"",,,,', *(f"{column} is missing" for column in columns))
    for text in ("1.5", "1e3", "+7", "-7", "1_000", "0", "2147483648", "true", "٣", "seven"):
        yield _bad(f"{text},Bad Id,{at},1,1", f"id {_ID}")
    yield _bad(f"6010,Bad Department,{at},1.5,1", f"department_id {_ID}")
    yield _bad(f"6011,Bad Job,{at},1,0x1", f"job_id {_ID}")
    for text in ("2021-02-30T10:00:00Z", "27/07/2021 16:02", "2021-07-27T25:00:00Z", "yesterday", "1627401728"):
        yield _bad(f"6012,Bad Datetime,{text},1,1", _DAY_FIRST if "/" in text else _DATE)
    yield _bad("6013,Too Early,0001-01-01T00:00:00+14:00,1,1", "datetime is outside the years 1 to 9999")
    yield _bad(f"6014,Lost Department,{at},{NOBODY},1", f"department_id {NOBODY} does not exist")
    yield _bad(f"6015,Lost Job,{at},1,{NOBODY}", f"job_id {NOBODY} does not exist")
    lost = (f"department_id {NOBODY} does not exist", f"job_id {NOBODY} does not exist")
    yield _bad(f"6016,Lost Both,{at},{NOBODY},{NOBODY}", *lost)
    yield _bad(f"x,,never,{NOBODY},", f"id {_ID}", "name is missing", _DATE, "job_id is missing", lost[0])
    yield _bad(f"6017,Too Few,{at},1", "expected 5 fields, found 4")
    yield _bad(f"6018,Too, Many,{at},1,1", "expected 5 fields, found 6")
    yield _bad(f'6019,Ada "Ace" Lund,{at},1,1', _INSIDE)
    yield _bad(f'6020,"Ada" Lund,{at},1,1', _AFTER)
    yield _bad(f'6021,"Ada Lund,{at},1,1', _UNCLOSED)
    yield Line(b"6022,Jos\xe9 Lund,2021-05-05,1,1", reasons=("name is not valid UTF-8",))
    yield Line(b"6023,Nul\0 Lund,2021-05-05,1,1", reasons=("name contains a NUL character",))
    yield _bad(f"6024,{'Long ' * 2001},{at},1,1", "name is longer than 10000 characters")


def _repeated() -> Iterator[Line]:
    """Yield rows that repeat ids. The last valid row of an id wins, so these lines must keep their order."""
    for number in (7001, 7002, 7003):
        yield _employee(number, "First Version", "2021-08-01T08:00:00Z")
        yield _employee(number, "Second Version", "2021-08-02T08:00:00Z", 2, 2)
    yield _employee(7001, "Third Version", "2021-08-03T08:00:00Z", 3, 3)
    yield _bad("7002,Broken Version,2021-08-04T08:00:00Z,,3", "department_id is missing")


def _in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return the shuffled lines, but with the lines of `_repeated` in their original order."""
    repeated = {line.raw: place for place, line in enumerate(_repeated())}
    shuffled = list(lines)
    places = [i for i, line in enumerate(shuffled) if line.raw in repeated]
    kept = sorted((shuffled[i] for i in places), key=lambda line: repeated[line.raw])
    for place, line in zip(places, kept, strict=True):
        shuffled[place] = line
    return tuple(shuffled)


def _bad(raw: str, *reasons: str) -> Line:
    return Line(raw.encode(), reasons=reasons)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m infra.sample FOLDER")
    for file in sample().files:
        path = Path(arguments[0], file.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.body)
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
