"""Recognises the headers of CSV files. The right header is skipped. With a wrong header, the load fails.

Columns are identified by their position. If a header names other columns, or the right columns in another order, the
rows below the header would be stored in the wrong columns. So the whole file is refused, wherever the header stands. A
header is not always the first record: a title, `sep=,` or the content of another file may come before the header. A
header is not always a well-formed record either: some programs write a space before a quote.
"""

import re
from collections.abc import Sequence
from functools import cache

from chalicelib.core.datasets import DATASETS, Dataset
from chalicelib.core.errors import LoadError

MOST_SHOWN = 20  # an error message quotes at most this many names of a header
LONGEST_SHOWN = 40  # an error message quotes at most this many characters of a name
_LONGEST_LINE = 4096  # bytes; a longer line is not taken for a header
_DELIMITERS, _LINE_ENDS = re.compile(rb"[,;|\t]"), re.compile(rb"[\r\n]")
# Invisible characters, by their code points: soft hyphen, zero-width characters, direction marks, byte order mark.
_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
# Characters that programs write around names: quotes of any kind, brackets, backslashes. For use in a character class.
_QUOTES = r"\"'`«»‘-‟‹›\[\]\\"
_ASIDE = re.compile(rf"[\s_{_QUOTES}{_INVISIBLE}-]+")
_UNSEEN = re.compile(rf"[\s{_QUOTES}{_INVISIBLE}]+")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")
_NOT_SHOWN = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_INVISIBLE}]+")


def is_header(dataset: Dataset, fields: Sequence[bytes]) -> bool:
    """Return whether a file's first record is the right header, with the columns of `dataset` in their order.

    A record is a header if at least one field names a column of any dataset, and no field is a whole number. Case,
    spaces, hyphens, underscores, quotes and invisible characters do not matter. Raises LoadError for a wrong header.
    """
    texts = _texts(fields)
    names = [_bare(text) for text in texts]
    if _names().isdisjoint(names) or _holds_a_number(texts):
        return False
    if names == _ours(dataset):
        return True
    raise _not_ours(dataset, texts)


def refuse_another(dataset: Dataset, raw: bytes) -> None:
    """Raise LoadError if an invalid record is a wrong header with as many fields as a row.

    A record is a wrong header if at least two of its fields name columns, and at least one of these fields is in the
    wrong place. One name is not enough, because a row of any file may have a word that is also a column's name. The
    first line of the record is split at every character that may be a delimiter, also inside quotes.
    """
    line = _LINE_ENDS.split(raw, maxsplit=1)[0]
    if raw.lstrip(b' \t"')[:1].isdigit() or len(line) > _LONGEST_LINE:
        return  # the record begins with an id, as most records do, or is too long for a header
    fields = _DELIMITERS.split(line)
    if len(fields) != len(dataset.columns):
        return
    texts = _texts(fields)
    names = [_bare(text) for text in texts]
    named = [(name, ours) for name, ours in zip(names, _ours(dataset), strict=True) if name in _names()]
    misplaced = any(name != ours for name, ours in named)
    if misplaced and len({name for name, _ in named}) > 1 and not _holds_a_number(texts):
        raise _not_ours(dataset, [text.strip(" \"'") for text in texts])


def _not_ours(dataset: Dataset, texts: Sequence[str]) -> LoadError:
    wanted = ", ".join(dataset.column_names)
    return LoadError(f"the header names {_shown(texts)}; this file must have {wanted} in this order")


def _texts(fields: Sequence[bytes]) -> list[str]:
    return [field.decode("utf-8", "replace") for field in fields]


def _holds_a_number(texts: Sequence[str]) -> bool:
    return any(_WHOLE_NUMBER.fullmatch(_UNSEEN.sub("", text)) for text in texts)


@cache
def _ours(dataset: Dataset) -> list[str]:
    return [_bare(name) for name in dataset.column_names]


@cache
def _names() -> frozenset[str]:
    return frozenset(_bare(name) for dataset in DATASETS.values() for name in dataset.column_names)


def _bare(text: str) -> str:
    return _ASIDE.sub("", text).casefold()


def _shown(texts: Sequence[str]) -> str:
    shown = [_NOT_SHOWN.sub("", text.strip())[:LONGEST_SHOWN].strip() or "(nothing)" for text in texts[:MOST_SHOWN]]
    more = len(texts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
