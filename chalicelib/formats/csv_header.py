"""Headers: their names say which column stands where.

A name counts whatever its case is, and whatever spaces, hyphens, underscores, quotes and invisible characters stand in
it. A column may have other names, too (`Column.aliases`).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from chalicelib.core.datasets import DATASETS, Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.texts import INVISIBLE
from chalicelib.formats.csv_layout import CsvLayout

MOST_SHOWN = 20  # an error message quotes at most this many names of a header
# A row of Postgres must fit into a page of 8 KiB, and each text of an ignored column may take 18 bytes there.
MAX_COLUMNS = 400
LONGEST_SHOWN = 40  # an error message quotes at most this many characters of a name
_LONGEST_LINE = 4096  # bytes; a longer line is not taken for a header below the first record
_DELIMITERS, _LINE_ENDS = re.compile(rb"[,;|\t]"), re.compile(rb"[\r\n]")
_OTHER_ORDER = (
    ", in another order than the rows above it: put the header in the first line, or send the rows below it as another"
    " file"
)
# What programs write around names: quotes of any kind, brackets, backslashes. To be used in a character class.
_QUOTES = r"\"'`«»‘-‟‹›\[\]\\"
_ASIDE = re.compile(rf"[\s_{_QUOTES}{INVISIBLE}-]+")
_UNSEEN = re.compile(rf"[\s{_QUOTES}{INVISIBLE}]+")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")
_NOT_SHOWN = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{INVISIBLE}]+")


@dataclass(frozen=True)
class Header:
    """What a header says: its `names`, the column that each field holds, None for the `ignored` ones, whose names are
    given."""

    positions: tuple[int | None, ...]
    ignored: tuple[str, ...]
    names: tuple[str, ...] = ()


def read_header(dataset: Dataset, fields: Sequence[bytes]) -> Header | None:
    """Read a file's first record as a header; None if it is not one.

    A record is a header if one of its fields names a column of any dataset and none of them is a whole number.
    Raises LoadError for a header that lacks a column of `dataset`, names one twice, or has more than MAX_COLUMNS.
    """
    texts = _texts(_without_empty_end(fields))
    names = [_bare(text) for text in texts]
    if not is_header(texts):
        return None
    if len(texts) > MAX_COLUMNS:
        raise LoadError(f"the header names {len(texts)} columns: a file may have {MAX_COLUMNS}, leave out some of them")
    positions = tuple(map(_columns(dataset).get, names))
    missing = [c.name for at, c in enumerate(dataset.columns) if at not in positions]
    times = Counter(position for position in positions if position is not None)
    twice = sorted(dataset.columns[position].name for position, count in times.items() if count > 1)
    if missing or twice:
        faults = [f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"] if missing else []
        faults += [f"{' and '.join(twice)} {'is' if len(twice) == 1 else 'are'} there twice"] if twice else []
        raise _refused(dataset, texts, f": {', and '.join(faults)}")
    ignored = tuple(_shown(text) for text, at in zip(texts, positions, strict=True) if at is None)
    return Header(positions, ignored, tuple(text.replace("\0", "\ufffd") for text in texts))  # Postgres stores no NUL


def column_at(dataset: Dataset, name: str) -> int | None:
    """The index of the column that a name stands for, by its own name or an alias."""
    return _columns(dataset).get(_bare(name))


def shown_name(name: str) -> str:
    """A name from a file as messages show it: short, and without characters that cannot be seen or stored."""
    return _shown(name.encode("utf-8", "replace").decode())


def is_header(texts: Sequence[str]) -> bool:
    """Whether a record names a column of any dataset and holds no whole number."""
    return not _all_names().isdisjoint(map(_bare, texts)) and not any(map(is_whole_number, texts))


def is_whole_number(text: str) -> bool:
    """Whether a field holds a whole number, also one written as `12.0`."""
    return bool(_WHOLE_NUMBER.fullmatch(_UNSEEN.sub("", text)))


def repeats_header(dataset: Dataset, layout: CsvLayout, raw: bytes, fields: Sequence[bytes] = ()) -> bool:
    """Whether a record below the first one names the columns that the layout has. It has no `fields` if it breaks the
    rules of quoting.

    Raises LoadError if it names other columns or another order: the rows below it would be stored in the wrong columns.
    At least two of its fields must name columns, since any file may have a row in which a single word looks like a
    column's name. The record's first line is split at every character that may be a delimiter, without regard to
    quotes: a program that writes a space before a quote makes a header that cannot be split by the rules.
    """
    if len(fields) >= len(layout.positions):
        if is_whole_number(fields[layout.positions.index(0)].decode("utf-8", "replace")):
            return False  # it may be a row
        all_names = [_bare(text) for text in _texts(_without_empty_end(fields))]
        if tuple(map(_columns(dataset).get, all_names)) == layout.positions:
            return True
    line = _LINE_ENDS.split(raw, maxsplit=1)[0]
    if raw.lstrip(b' \t"')[:1].isdigit() or len(line) > _LONGEST_LINE:
        return False  # it begins with an id, as most records do
    texts = _texts(_without_empty_end(_DELIMITERS.split(line)))
    if len(texts) != len(layout.positions) or any(map(is_whole_number, texts)):
        return False
    names = [_bare(text) for text in texts]
    known = [(_columns(dataset).get(n), at) for n, at in zip(names, layout.positions, strict=True) if n in _all_names()]
    if len(_all_names().intersection(names)) < 2:
        return False
    if any(named != at for named, at in known):
        raise _refused(dataset, [text.strip(" \"'") for text in texts], _OTHER_ORDER)
    is_whole = len(line) == len(raw.rstrip(b"\r\n"))  # otherwise rows follow it in the same record
    return is_whole and {named for named, _ in known} >= {at for at in layout.positions if at is not None}


def refused_below(dataset: Dataset, fields: Sequence[bytes]) -> LoadError:
    """The error for a header that stands too far from the beginning of the file to be known as one."""
    return _refused(dataset, _texts(fields), ", and does not end within the first 64 KiB of the file")


def _refused(dataset: Dataset, texts: Sequence[str], fault: str) -> LoadError:
    shown = ", ".join(map(_shown, texts[:MOST_SHOWN]))
    more = f" and {len(texts) - MOST_SHOWN} more" if len(texts) > MOST_SHOWN else ""
    wanted = ", ".join(dataset.column_names)
    return LoadError(f"the header names {shown}{more}{fault}; this file must have {wanted}, in any order")


def _without_empty_end(fields: Sequence[bytes]) -> Sequence[bytes]:
    kept = len(fields)
    while kept and not fields[kept - 1].strip(b' \t\r"'):
        kept -= 1
    return fields[:kept]


def _texts(fields: Sequence[bytes]) -> list[str]:
    return [field.decode("utf-8", "replace") for field in fields]


@cache
def _columns(dataset: Dataset) -> dict[str, int]:
    """The index of the column that a bare name stands for."""
    return {_bare(name): at for at, column in enumerate(dataset.columns) for name in (column.name, *column.aliases)}


@cache
def _all_names() -> frozenset[str]:
    return frozenset(name for dataset in DATASETS.values() for name in _columns(dataset))


def _bare(text: str) -> str:
    return _ASIDE.sub("", text).casefold()


def _shown(text: str) -> str:
    return _NOT_SHOWN.sub("", text.strip())[:LONGEST_SHOWN].strip() or "(nothing)"
