"""Writes CSV files in every dialect: in any encoding, with any delimiter, and with the columns in any order. People and
programs write such files."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import Declarations
from chalicelib.core.kinds.table import Kind
from chalicelib.formats.csv_layout import CsvLayout
from tests import values

LINE_ENDS = ("\n", "\r\n", "\r\r\n", "\r")
# Hireflow recognises the encodings in FOUND without a declaration: by a byte order mark, or because UTF-8 is the
# default. The encodings in DECLARED have to be declared.
FOUND = ("utf-8", "utf-8-sig", "utf-16")
DECLARED = ("windows-1252", "iso-8859-1", "utf-16be", "shift_jis", "windows-1251")


@dataclass(frozen=True)
class Dialect:
    """A way to write a file. `columns` has the name of each field, in the order of the file. It may contain names that
    are no columns of the dataset: the fields of these names contain notes. `aliases` has, by the name of a column, the
    other name that stands for this column in the header."""

    delimiter: str = ","
    encoding: str = "utf-8"
    line_end: str = "\n"
    columns: tuple[str, ...] | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    has_header: bool = False
    quotes_all: bool = False
    ends_last_line: bool = True
    has_sep_line: bool = False
    is_gzipped: bool = False
    trailing_empty_fields: int = 0
    has_decimal_ids: bool = False
    blank_lines: int = 0

    @property
    def declarations(self) -> Declarations:
        """The declarations that the sender of the file has to make."""
        return Declarations.of({"encoding": self.encoding} if self.encoding in DECLARED else {})


def written(dataset: Dataset, rows: Sequence[Sequence[str]], dialect: Dialect) -> bytes:
    """Return a file of these rows. The values of a row are in the order of the dataset's columns."""
    columns = dialect.columns or dataset.column_names
    lines = [f"sep={dialect.delimiter}"] if dialect.has_sep_line else []
    if dialect.has_header:
        lines.append(_line([dialect.aliases.get(name, name) for name in columns], dialect))
    for number, row in enumerate(rows):
        texts = dict(zip(dataset.column_names, row, strict=True))
        if dialect.has_decimal_ids:
            ids = (column.name for column in dataset.columns if column.kind is Kind.ID)
            texts |= {name: f"{texts[name]}.0" for name in ids if texts[name]}
        lines += [dialect.delimiter * (len(columns) - 1)] * (dialect.blank_lines if number else 0)
        lines.append(_line([texts.get(name, f"note {number}") for name in columns], dialect))
    text = dialect.line_end.join(lines) + (dialect.line_end if dialect.ends_last_line and lines else "")
    data = text.encode(dialect.encoding)
    return gzip.compress(data, mtime=0) if dialect.is_gzipped else data


def in_order(layout: CsvLayout, fields: Sequence[str]) -> list[str]:
    """Return the fields of a record in the order of the dataset's columns, without the ignored fields."""
    return [
        field for _, field in sorted((at, f) for at, f in zip(layout.positions, fields, strict=True) if at is not None)
    ]


def _line(texts: Sequence[str], dialect: Dialect) -> str:
    special = (dialect.delimiter, '"', "\n", "\r")
    fields = [
        '"' + value.replace('"', '""') + '"' if dialect.quotes_all or any(s in value for s in special) else value
        for value in texts
    ]
    return dialect.delimiter.join(fields) + dialect.delimiter * dialect.trailing_empty_fields


@st.composite
def dialects(draw: st.DrawFn, dataset: Dataset, encodings: Sequence[str] = (*FOUND, *DECLARED)) -> Dialect:
    """Generate a dialect in which Hireflow understands a file of this dataset."""
    has_header = draw(st.booleans())
    columns, aliases = dataset.column_names, dict[str, str]()
    if has_header:
        ignored = tuple(f"note_{number}" for number in range(draw(st.integers(0, 2))))
        named = tuple(c.name for c in dataset.columns if not c.may_be_absent or draw(st.booleans()))
        columns = tuple(draw(st.permutations((*named, *ignored))))
        for column in dataset.columns:
            written_as = draw(st.sampled_from((column.name, column.name.upper(), column.name.replace("_", " "))))
            aliases[column.name] = draw(st.sampled_from((written_as, *column.aliases)))
    else:
        columns = columns[: draw(st.integers(dataset.fewest, len(columns)))]
    delimiter = draw(st.sampled_from((",", ";", "\t", "|")))
    return Dialect(
        delimiter=delimiter,
        encoding=draw(st.sampled_from(encodings)),
        line_end=draw(st.sampled_from(LINE_ENDS)),
        columns=columns,
        aliases=aliases,
        has_header=has_header,
        quotes_all=draw(st.booleans()),
        ends_last_line=draw(st.booleans()),
        has_sep_line=draw(st.booleans()),
        is_gzipped=draw(st.booleans()),
        trailing_empty_fields=draw(st.integers(0, 2)),
        has_decimal_ids=draw(st.booleans()),
        blank_lines=draw(st.integers(0, 1)),
    )


def rows(dataset: Dataset, min_size: int = 1) -> st.SearchStrategy[list[tuple[str, ...]]]:
    """Generate lists of valid rows. No two rows of a list have the same id."""
    of_row = st.tuples(*(values.sent(column.kind) for column in dataset.columns))
    return st.lists(of_row, min_size=min_size, max_size=6, unique_by=lambda row: row[0])
