"""Reads headers. The names in a header say which column each field holds.

Names are compared without their case, spaces, hyphens, underscores, quotes and invisible characters. A column may have
other names, too (`Column.aliases`).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.texts import INVISIBLE, QUOTES, bare_name
from chalicelib.formats.csv_layout import CsvLayout

MOST_SHOWN = 20  # an error message quotes at most this many names of a header
# A file may have at most this many columns. A row of Postgres must fit into a page of 8 KiB, and each text of an
# ignored column may take 18 bytes of this page.
MAX_COLUMNS = 400
LONGEST_SHOWN = 40  # an error message quotes at most this many characters of a name
_LONGEST_LINE = 4096  # bytes; below the first record, a longer line is not considered to be a header
_DELIMITERS, _LINE_ENDS = re.compile(rb"[,;|\t]"), re.compile(rb"[\r\n]")
_OTHER_ORDER = (
    ", in another order than the rows above it: put the header in the first line, or send the rows below it as another"
    " file"
)
_OTHER_COLUMNS = ", but not all columns of the rows above it: send the rows below it as another file"
# For ASCII, these two bytes objects do the same as `bare_name`: they ignore the case of letters and certain characters.
_LOWER = bytes(range(256)).lower()
_NOT_COMPARED = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f_-\"'`[]\\"
_UNSEEN = re.compile(rf"[\s{QUOTES}{INVISIBLE}]+")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")
_NOT_SHOWN = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{INVISIBLE}]+")


@dataclass(frozen=True)
class Header:
    """The content of a header. `positions` has an item for each field: the index of its column, or None if the field is
    ignored. `ignored` has the names of the ignored fields, and `names` has all names."""

    positions: tuple[int | None, ...]
    ignored: tuple[str, ...]
    names: tuple[str, ...] = ()


def read_header(dataset: Dataset, fields: Sequence[bytes]) -> Header | None:
    """Read a file's first record as a header. Return None if the record is not a header.

    A record is a header if one of its fields names a column of any dataset, and no field is a whole number. Raises
    LoadError for a header that lacks a column that no row may leave out, names a column twice, or has more than
    MAX_COLUMNS names.
    """
    texts = _texts(_without_empty_end(fields))
    names = [bare_name(text) for text in texts]
    if not is_header(texts):
        return None
    if len(texts) > MAX_COLUMNS:
        raise LoadError(f"the header names {len(texts)} columns: a file may have {MAX_COLUMNS}, leave out some of them")
    positions = tuple(map(_columns(dataset).get, names))
    missing = [c.name for at, c in enumerate(dataset.columns) if at not in positions and not c.may_be_absent]
    times = Counter(position for position in positions if position is not None)
    twice = sorted(dataset.columns[position].name for position, count in times.items() if count > 1)
    if missing or twice:
        faults = [f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"] if missing else []
        faults += [f"{' and '.join(twice)} {'is' if len(twice) == 1 else 'are'} named twice"] if twice else []
        raise _refused(dataset, texts, f": {', and '.join(faults)}")
    ignored = tuple(_shown(text) for text, at in zip(texts, positions, strict=True) if at is None)
    return Header(positions, ignored, tuple(text.replace("\0", "\ufffd") for text in texts))  # Postgres stores no NUL


def column_at(dataset: Dataset, name: str) -> int | None:
    """Return the index of the column with this name or alias, or None if there is no such column."""
    return _columns(dataset).get(bare_name(name))


def shown_name(name: str) -> str:
    """Return a name from a file in the form for messages: short, and without characters that are invisible or that
    Postgres cannot store."""
    return _shown(name.encode("utf-8", "replace").decode())


def is_header(texts: Sequence[str]) -> bool:
    """Return whether a record names a column of any dataset and has no whole number."""
    return not _all_names().isdisjoint(map(bare_name, texts)) and not any(map(is_whole_number, texts))


def is_whole_number(text: str) -> bool:
    """Return whether a field is a whole number such as 12 or 12.0."""
    return bool(_WHOLE_NUMBER.fullmatch(_UNSEEN.sub("", text)))


def repeats_header(dataset: Dataset, layout: CsvLayout, raw: bytes, fields: Sequence[bytes] = ()) -> bool:
    """Return whether a record below the first one is a header with the columns of the layout. `fields` is empty if the
    record breaks the rules of quoting.

    Raises LoadError if the record is a header with other columns or another order, because the rows below it would be
    stored in the wrong columns. A record is a header only if at least two of its fields name columns, because in any
    file a single word of a row may equal the name of a column. The first line of the record is split at every character
    that may be a delimiter, and quotes are ignored. The reason: some programs write a space before a quote, and such a
    header cannot be split by the rules of quoting.
    """
    if raw.isascii() and not _ascii_names().search(raw.translate(_LOWER, _NOT_COMPARED)):
        return False  # most records contain no name of a column
    if len(fields) >= len(layout.positions):
        if is_whole_number(fields[layout.positions.index(0)].decode("utf-8", "replace")):
            return False  # the field of the id is a whole number, so the record may be a row
        all_names = [bare_name(text) for text in _texts(_without_empty_end(fields))]
        columns = tuple(map(_columns(dataset).get, all_names))
        if columns == layout.positions or _leaves_out_columns(dataset, layout, columns):
            return True
    line = _LINE_ENDS.split(raw, maxsplit=1)[0]
    if raw.lstrip(b' \t"')[:1].isdigit() or len(line) > _LONGEST_LINE:
        return False  # the record is not a header: it begins with an id, as most records do, or it is too long
    texts = _texts(_without_empty_end(_DELIMITERS.split(line)))
    if len(texts) != len(layout.positions) or any(map(is_whole_number, texts)):
        return False
    names = [bare_name(text) for text in texts]
    known = [(_columns(dataset).get(n), at) for n, at in zip(names, layout.positions, strict=True) if n in _all_names()]
    if len(_all_names().intersection(names)) < 2:
        return False
    if any(named != at for named, at in known):
        raise _refused(dataset, [text.strip(" \"'") for text in texts], _OTHER_ORDER)
    is_whole = len(line) == len(raw.rstrip(b"\r\n"))  # otherwise, rows follow the header in the same record
    return is_whole and {named for named, _ in known} >= {at for at in layout.positions if at is not None}


@cache
def _ascii_names() -> re.Pattern[bytes]:
    """Return the pattern of the names of all columns, in the form that `bare_name` returns. A record in ASCII can
    contain no other names of columns."""
    return re.compile(b"|".join(re.escape(name).encode() for name in _all_names() if name.isascii()) or rb"(?!)")


def _leaves_out_columns(dataset: Dataset, layout: CsvLayout, columns: Sequence[int | None]) -> bool:
    """Return whether a record is a header that names fewer columns than the layout, and is filled up with empty fields.
    `columns` has the columns that it names.

    Raises LoadError if the rows below it would be stored in the wrong columns, or would set a column to NULL that their
    header does not name. In a file whose first record is not a header, empty fields at the end of a row leave out their
    columns. So nothing goes wrong there if the header names the first columns in their order.
    """
    named = sum(at is not None for at in columns)
    if named < 2 or dataset.fewest == len(dataset.columns) or len(columns) >= len(layout.positions):
        return False
    if layout.has_header or tuple(columns) != layout.positions[: len(columns)]:
        raise _refused(dataset, [dataset.column_names[at] for at in columns if at is not None], _OTHER_COLUMNS)
    return len(columns) >= dataset.fewest


def refused_below(dataset: Dataset, fields: Sequence[bytes]) -> LoadError:
    """Return the error for a header that does not end within the first 64 KiB, so that `describe` could not read it."""
    return _refused(dataset, _texts(fields), ", and does not end within the first 64 KiB of the file")


def _refused(dataset: Dataset, texts: Sequence[str], fault: str) -> LoadError:
    shown = ", ".join(map(_shown, texts[:MOST_SHOWN]))
    more = f" and {len(texts) - MOST_SHOWN} more" if len(texts) > MOST_SHOWN else ""
    wanted, possible = (
        ", ".join(names) for names in (dataset.column_names[: dataset.fewest], dataset.column_names[dataset.fewest :])
    )
    also = f", and may have {possible}" if possible else ""
    return LoadError(f"the header names {shown}{more}{fault}; this file must have {wanted}, in any order{also}")


def _without_empty_end(fields: Sequence[bytes]) -> Sequence[bytes]:
    kept = len(fields)
    while kept and not fields[kept - 1].strip(b' \t\r"'):
        kept -= 1
    return fields[:kept]


def _texts(fields: Sequence[bytes]) -> list[str]:
    return [field.decode("utf-8", "replace") for field in fields]


@cache
def _columns(dataset: Dataset) -> dict[str, int]:
    """Return the indexes of the columns by their names and aliases, in the form that `bare_name` returns."""
    return {bare_name(name): at for at, column in enumerate(dataset.columns) for name in (column.name, *column.aliases)}


@cache
def _all_names() -> frozenset[str]:
    return frozenset(name for dataset in DATASETS.values() for name in _columns(dataset))


def _shown(text: str) -> str:
    return _NOT_SHOWN.sub("", text.strip())[:LONGEST_SHOWN].strip() or "(nothing)"
