"""Headers: one that may be skipped, and those that say that a file must not be loaded.

Columns are taken by their position. So a header that names them in another order, or other ones, says
that the rows below it would be read as something that they are not: such a file is refused as a whole.
That holds wherever it stands. A title, `sep=,` or another file may come before it, and what writes a space
before a quote makes a record of it that cannot be split.
"""

import re
from collections.abc import Sequence
from functools import cache

from chalicelib.datasets import DATASETS, Dataset
from chalicelib.errors import LoadError

MOST_SHOWN = 20  # names of a header that an error quotes
LONGEST_SHOWN = 40  # characters of such a name
_LONGEST_LINE = 4096  # bytes of a line that is looked at
_DELIMITERS, _LINE_ENDS = re.compile(rb"[,;|\t]"), re.compile(rb"[\r\n]")
# Characters that nobody sees, by their code points: soft hyphen, zero-width ones, marks of direction, byte order mark.
_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
# What programs write around names: quotes of any kind, brackets, backslashes. For a set of characters in a pattern.
_QUOTES = r"\"'`«»‘-‟‹›\[\]\\"
_ASIDE = re.compile(rf"[\s_{_QUOTES}{_INVISIBLE}-]+")
_UNSEEN = re.compile(rf"[\s{_QUOTES}{_INVISIBLE}]+")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")
_NOT_SHOWN = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_INVISIBLE}]+")


def is_header(dataset: Dataset, fields: Sequence[bytes]) -> bool:
    """Whether a file's first record is a header, with the columns of `dataset` in their order.

    A header is a record with a field that names a column, of whichever dataset, and without one that is a
    whole number. Case, spaces, hyphens, underscores, quotes and invisible characters do not matter.
    Raises LoadError for a header that is not ours.
    """
    texts = _texts(fields)
    names = [_bare(text) for text in texts]
    if _names().isdisjoint(names) or _holds_a_number(texts):
        return False
    if names == _ours(dataset):
        return True
    raise _not_ours(dataset, texts)


def refuse_another(dataset: Dataset, raw: bytes) -> None:
    """Raise LoadError where a record that is no row is a header with as many columns as a row, and not ours.

    Here two of its fields must name columns, one of them a column that stands elsewhere: there is a row in every file
    that one word makes look like a header.
    The record's first line is split without regard to quotes, at whatever may be its delimiter.
    """
    line = _LINE_ENDS.split(raw, maxsplit=1)[0]
    if raw.lstrip(b' \t"')[:1].isdigit() or len(line) > _LONGEST_LINE:
        return  # an id, whatever stands around it: by far the most records
    fields = _DELIMITERS.split(line)
    if len(fields) != len(dataset.columns):
        return
    texts = _texts(fields)
    named = [(_bare(text), ours) for text, ours in zip(texts, _ours(dataset), strict=True) if _bare(text) in _names()]
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
