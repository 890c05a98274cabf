"""The first record of a file: a header that may be skipped, one that must not be, or data.

Columns are taken by their position. So a header that names them in another order, or other ones, says
that the rows below it would be read as something that they are not: such a file is refused as a whole.
"""

import re
from collections.abc import Sequence

from chalicelib.datasets import DATASETS, Dataset
from chalicelib.errors import LoadError

MOST_SHOWN = 20  # names of a header that an error quotes
LONGEST_SHOWN = 40  # characters of such a name
# Characters that nobody sees, by their code points: soft hyphen, zero-width ones, marks of direction, byte order mark.
_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_ASIDE = re.compile(rf"[\s\"'_{_INVISIBLE}-]+")
_UNSEEN = re.compile(rf"[\s\"'{_INVISIBLE}]+")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")
_NOT_SHOWN = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_INVISIBLE}]+")


def is_header(dataset: Dataset, fields: Sequence[bytes]) -> bool:
    """Whether a file's first record is a header, with the columns of `dataset` in their order.

    A header is a record with a field that names a column, of whichever dataset, and without one that is a
    whole number. Case, spaces, hyphens, underscores, quotes and invisible characters do not matter.
    Raises LoadError for a header that is not ours.
    """
    texts = [field.decode("utf-8", "replace") for field in fields]
    names = [_bare(text) for text in texts]
    if _names().isdisjoint(names) or any(_WHOLE_NUMBER.fullmatch(_UNSEEN.sub("", text)) for text in texts):
        return False
    if names == [_bare(name) for name in dataset.column_names]:
        return True
    wanted = ", ".join(dataset.column_names)
    raise LoadError(f"the header names {_shown(texts)}; this file must have {wanted} in this order")


def _names() -> frozenset[str]:
    return frozenset(_bare(name) for dataset in DATASETS.values() for name in dataset.column_names)


def _bare(text: str) -> str:
    return _ASIDE.sub("", text).casefold()


def _shown(texts: Sequence[str]) -> str:
    shown = [_NOT_SHOWN.sub("", text.strip())[:LONGEST_SHOWN].strip() or "(nothing)" for text in texts[:MOST_SHOWN]]
    more = len(texts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
