"""Generates CSV files from a seed: valid files in every dialect, files with a few changes, mixtures of difficult bytes,
and random bytes."""

from dataclasses import dataclass
from random import Random

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import DELIMITERS, UNDECLARED, Declarations
from chalicelib.core.kinds.table import Kind
from tests.dialects import DECLARED, FOUND, LINE_ENDS, Dialect, written
from tests.fuzz.mutate import mutated
from tests.other.declaration import OTHERS

TOKENS = (
    *(b'"', b'""', b'"""', b",", b"\n", b"\r\n", b"\r", b"\r\r\n", b"\0", b"\xff", b"\xc2\xa0", b"\xed\xa0\x80"),
    *(b"\xf0\x9f\x8e\x89", b"\\", b"\\.", b"\\N", b"\\\\", b"\t", b" ", b"=1+1", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    *(
        b";",
        b"|",
        b";;\n",
        b"|||||\n",
        b"\t\t\t\t\n",
        b" , ,\r\n",
        b",,",
        b";;;",
        b"sep=;\n",
        b'"sep=|"\r\n',
        b"sep=\t\n",
    ),
    *(b"\xff\xfe", b"\xfe\xff", b"1\0,\0A\0\n\0", b"\xe2\x80\x8b", b"\xc2\xad", b"\xe2\x80\xad", b"\x0b\n", b"\x0c"),
    *(
        b"\x1c",
        b"0",
        b"-1",
        b"1.0",
        b"12.00",
        b"1.5",
        b"+1",
        b"\xd9\xa1",
        b"2147483647",
        b"2147483648",
        b"2147483648.0",
    ),
    *(b"0001-01-01T00:00:00+01:00", b"2021-02-29T00:00:00Z", b"2021-07-27", b"24:00", b"27/07/2021", b"16:02:08 UTC"),
    *(b"#REF!", b"#N/A", b'"#N/A"', b"#DIV/0!", b"NULL", b"None", b"NaN", b"n/a", b"#", b"1,#VALUE!\n"),
    *(b"id,department\n", b"id,name,datetime,department_id,job_id\r\n", b"job,id\n", b"Department ID;department\n"),
    *(b"id;name;datetime;department_id;job_id\n", b"emp_id\tname\thire_date\tdept_id\tjob_no\n", b'id, "job"\n'),
    *(b"department|ID|note\n", b"id,job,job\n", b'"i\nd",department\n', b"id", b"job", b"department", b"title"),
    *(
        b"Job ID",
        b"\xe2\x80\x8bname",
        b'"a\nb"c',
        b',"x y",',
        b'"a\nb"',
        b'"a\rb"',
        b",,,,\n",
        b"'; DROP TABLE jobs; --",
    ),
    *(b"1,Sales\n", b"2;Ops\n", b"3\tIT\r\n", b"4|HR\n", b'5;"x\n', b'6,"y\n7,z"\n', b"8,Law,,\n", b"9.0;Tax;\n"),
)
_TEXTS = (
    *(
        "Ann",
        "José",
        "Sales, North",
        'the "best"',
        "two\nlines",
        " padded ",
        "日本",
        "",
        "x" * 60,
        "a;b",
        "c|d",
        "e\tf",
    ),
    *(
        "NULL",
        "None",
        "n/a",
        "#N/A",
        "#REF!",
        "#1",
        "\u200bhidden\u00ad",
        "\u200b",
        "\ufeffx",
        "a\rb",
        "back\\slash",
        "\\N",
    ),
    *("Job", "id", "Department", "0.0", "é", "x" * 10_001, "5' 6\"", "=1+1", "sep=;", '"'),
)
_TIMES = (
    *("2021-07-27T16:02:08Z", "2021-07-27 16:02:08.5+02:00", "1999-12-31", "9999-12-31T23:59:59.999999Z"),
    *(
        "20210727T160208,5+0530",
        "2021-W30-2 16:02 UTC",
        "20211205213214Z",
        "soon",
        "27/07/2021",
        "2021-07-27T16:02:08 UTC",
        "07/27/2021 16:02",
        "1.2.2021 03:04:05",
        "3-4-2021",
        "31/04/2021",
        "1/2/21",
    ),
)
_IDS = (
    "1",
    "2",
    "3",
    "2147483647",
    "12.0",
    "7.00",
    "07",
    "+1",
    "-1",
    "1.5",
    "1e3",
    "\u200b8",
    "9\u00a0",
    "",
    "٣",
    " 4 ",
)
_OF_OTHER_KINDS = (
    "1.0",
    "12.50",
    "-0",
    ".5",
    "true",
    "N",
    "2021-07-27",
    "20210727",
    "27/07/2021",
    " ",
    "x",
    "+7.00",
    "9" * 20,
)
# Records above the rows that are no header, and often no row either.
_TITLES = (
    b"Report of 2021\n",
    b"x;y\n",
    b"1\n",
    b"1,\n",
    b"5,6,7,8,9,10,11,12,13\n",
    b"No|Who\n",
    b'"Q\n1",,"2"\n',
    b"2\tb\n",
)
_DATASETS = tuple({dataset.name: dataset for dataset in (*OTHERS, *DATASETS.values())}.values())
_IGNORED = (*[0] * 50, *[1] * 25, *[2] * 24, 410)
_DRIPS = (1 << 20, 1 << 20, 64, 7, 3, 1)
_LARGE_EVERY, _MOST_PIECES = 2000, 200


@dataclass(frozen=True)
class CsvInput:
    """A file of a dataset, what is declared about it, and the size of the pieces in which a stream returns it."""

    dataset: Dataset
    data: bytes
    drip: int = 1 << 20
    declared: Declarations = UNDECLARED


def csv_input(random: Random) -> CsvInput:
    dataset = random.choice(_DATASETS)
    kind, drip, declared = random.random(), random.choice(_DRIPS), UNDECLARED
    if kind < 0.1:
        data = random.randbytes(random.randrange(120))
    elif kind < 0.35:
        data = b"".join(random.choice(TOKENS) for _ in range(random.randrange(30)))
    else:
        data, declared = _csv(random, dataset)
    if random.random() < 0.08:
        declared = _declared(random)
    if random.randrange(_LARGE_EVERY) == 0:
        data = _large(random, data)
    return CsvInput(dataset, data, max(drip, len(data) // _MOST_PIECES), declared)


def _declared(random: Random) -> Declarations:
    """Declarations that need not be right."""
    given = {}
    if random.random() < 0.6:
        given["encoding"] = random.choice((*DECLARED, "utf-8", "utf-16", "utf-16le", "gb18030", "euc-kr"))
    if random.random() < 0.6:
        given["delimiter"] = random.choice(tuple(DELIMITERS))
    return Declarations.of(given)


def _csv(random: Random, dataset: Dataset) -> tuple[bytes, Declarations]:
    """A file in any dialect, changed in half of the cases: before or after its text is encoded."""
    dialect = _dialect(random, dataset)
    rows = [[_field(random, column) for column in dataset.columns] for _ in range(random.randrange(1, 7))]
    if random.random() < 0.1:
        rows.insert(random.randrange(len(rows) + 1), _header_again(random, dataset, dialect))
    text = written(dataset, rows, dialect)
    if random.random() < 0.08:
        text = random.choice(_TITLES) + text
    changes = random.random()
    if changes < 0.35:
        text = mutated(random, text, TOKENS)
    encoding = _encoding(random)
    # A file in UTF-8 may have bytes that are not UTF-8.
    data = text if encoding == "utf-8" else text.decode("utf-8", "ignore").encode(encoding, "ignore")
    if 0.35 <= changes < 0.5:
        data = mutated(random, data, TOKENS)
    given = {"encoding": encoding} if encoding in DECLARED else {}
    if random.random() < 0.1:
        given["delimiter"] = next(name for name, mark in DELIMITERS.items() if mark == dialect.delimiter)
    if random.random() < 0.2:
        given["dates"] = random.choice(("dmy", "mdy"))
    return data, Declarations.of(given)


def _encoding(random: Random) -> str:
    kind = random.random()
    if kind < 0.6:
        return "utf-8"
    return random.choice(FOUND if kind < 0.8 else DECLARED)


def _dialect(random: Random, dataset: Dataset) -> Dialect:
    """How the text of a file is written; its encoding comes later."""
    columns, aliases = dataset.column_names, dict[str, str]()
    has_header = random.random() < 0.5
    if has_header:
        names = [*columns, *(f"note_{number}" for number in range(random.choice(_IGNORED)))]
        if random.random() < 0.5:
            random.shuffle(names)
        for name in dataset.column_names[dataset.fewest :]:
            if random.random() < 0.3:
                names.remove(name)
        if random.random() < 0.05:
            names.append(names[0]) if random.random() < 0.5 else names.pop()
        columns = tuple(names)
        for column in dataset.columns:
            spelled = random.choice((column.name, column.name.upper(), column.name.replace("_", " ").title()))
            aliases[column.name] = random.choice((spelled, spelled, *column.aliases))
    else:
        columns = columns[: random.randint(dataset.fewest, len(columns))]
    return Dialect(
        delimiter=random.choice((",", ",", ";", "\t", "|")),
        line_end=random.choice(LINE_ENDS),
        columns=columns,
        aliases=aliases,
        has_header=has_header,
        quotes_all=random.random() < 0.2,
        ends_last_line=random.random() < 0.7,
        has_sep_line=random.random() < 0.15,
        trailing_empty_fields=random.choice((0, 0, 0, 1, 2)),
        has_decimal_ids=random.random() < 0.1,
        blank_lines=random.choice((0, 0, 0, 1, 2)),
    )


def _field(random: Random, column: Column) -> str:
    if column.may_be_absent and random.random() < 0.5:
        return ""
    return _value(random, column.kind)


def _value(random: Random, kind: Kind) -> str:
    usual = random.random() < 0.7
    if kind not in (Kind.ID, Kind.TEXT, Kind.INSTANT):
        return random.choice(
            _OF_OTHER_KINDS if random.random() < 0.3 else (str(kind.example), str(kind.example), "", "7", "t")
        )
    if kind is Kind.ID:
        return str(random.randrange(1, 10**6)) if usual else random.choice(_IDS)
    if kind is Kind.TEXT:
        return random.choice(("Sales", "Ann Lund", "North & South")) if usual else random.choice(_TEXTS)
    return "2021-07-27T16:02:08Z" if usual else random.choice(_TIMES)


def _header_again(random: Random, dataset: Dataset, dialect: Dialect) -> list[str]:
    """The names of the columns as a row: the header again, or another one."""
    names = [dialect.aliases.get(name, name) for name in dataset.column_names]
    if random.random() < 0.3:
        random.shuffle(names)
    return names


def _large(random: Random, data: bytes) -> bytes:
    """A file that goes on after the bytes from which it is understood."""
    filling = random.choice(
        (b"\n", b"7,Sales\n", b"8;Ops\r\n", b"\t", b";", b" ", b"\r", b"x", b'"', b'"\n', b"'9',x|\n")
    )
    long = filling * ((64 * 1024 + random.randrange(-40, 40)) // len(filling))
    at = random.choice((0, len(data), random.randrange(len(data) + 1)))
    return data[:at] + long + data[at:]
