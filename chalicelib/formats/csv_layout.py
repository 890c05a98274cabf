"""The layout of a text file: the delimiter, and the column that each field of a record holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import AnyStr, TypeVar

from chalicelib.core import reasons
from chalicelib.core.dataset import Dataset
from chalicelib.core.reasons import Problem
from chalicelib.core.texts import is_blank
from chalicelib.formats.formulas import unguarded

Item = TypeVar("Item")


def _bare(name: str) -> str:
    return name.strip(" \t\"'").casefold()


@dataclass(frozen=True)
class CsvLayout:
    """`positions` has an item for each field of a record: the index of its column in the dataset, or None if the field
    is ignored. `has_header` is true if the first record names the columns. `has_sep_line` is true if the file begins
    with a line such as `sep=;`, which Excel understands.

    `names` are the names in the header. A file of corrected rejects has more columns. `line` has the line of the reject
    that a record replaces, and `reasons` says why this reject was rejected. `left_out` names the columns that this
    reject left out. If their fields are empty, the record leaves them out, too.
    """

    delimiter: bytes
    positions: tuple[int | None, ...]
    has_header: bool = False
    has_sep_line: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def by_position(cls, dataset: Dataset, delimiter: bytes = b",", width: int | None = None) -> "CsvLayout":
        """Return the layout of a file without a header: the columns of the dataset, in their order.

        `width` is the number of fields in a record, or None if no record is known. It says how many columns the file
        has: at least the columns that no row may leave out, and at most all columns.
        """
        most = len(dataset.columns)
        return cls(delimiter, tuple(range(most if width is None else max(dataset.fewest, min(width, most)))))

    @cached_property
    def line_at(self) -> int | None:
        """The index of the field `line` of corrected rejects, or None if the file has no such field."""
        return self._ignored_at("line")

    @cached_property
    def left_out_at(self) -> int | None:
        """The index of the field `left_out` of corrected rejects, or None if the file has no such field."""
        return self._ignored_at("left_out") if self.is_corrected else None

    @cached_property
    def is_corrected(self) -> bool:
        """Whether the file contains corrected rejects. In such a file, an apostrophe may stand before a text (see
        `formulas`)."""
        return self._ignored_at("reasons") is not None

    def _ignored_at(self, name: str) -> int | None:
        named = zip(self.names, self.positions, strict=False)
        return next((at for at, (sent, column) in enumerate(named) if column is None and _bare(sent) == name), None)

    @cached_property
    def is_plain(self) -> bool:
        """Whether a record has the columns of the dataset in their order, and no other fields."""
        return self.positions == tuple(range(len(self.positions)))

    def values(self, dataset: Dataset, fields: Sequence[bytes]) -> tuple[bytes | None, ...]:
        """Return a field for each column of the dataset, and None for each column that the record leaves out.

        A record leaves out the columns that its file does not have. Without a header, empty fields at the end of a
        record also leave out their columns. In a file of corrected rejects, an empty field leaves out its column if the
        field `left_out` names this column, and the apostrophes before texts are removed.
        """
        if self.is_plain and dataset.fewest == len(dataset.columns):
            return tuple(fields)
        sent = map(unguarded, fields) if self.is_corrected else fields
        by_column = dict(zip(self.positions, sent, strict=True))
        values = [by_column.get(at) for at in range(len(dataset.columns))]
        if not self.has_header:
            for at in range(len(values) - 1, dataset.fewest - 1, -1):
                field = values[at]
                if field is not None and not is_blank(field):
                    break
                values[at] = None
        if self.left_out_at is not None:
            left_out = fields[self.left_out_at].decode("utf-8", "replace").split()
            for at, (column, field) in enumerate(zip(dataset.columns, values, strict=True)):
                if column.name in left_out and column.may_be_absent and field is not None and is_blank(field):
                    values[at] = None
        return tuple(values)

    def staged_apart(self, fields: Sequence[bytes]) -> dict[int, str]:
        """Return the ignored fields that the merge of corrected rejects needs, by their indexes: `line` and
        `left_out`."""
        line = fields[self.line_at].strip() if self.line_at is not None else b""
        apart = {self.line_at: line.decode()} if self.line_at is not None and line.isdigit() else {}
        if self.left_out_at is not None:
            apart[self.left_out_at] = " ".join(fields[self.left_out_at].decode("utf-8", "replace").split())
        return apart

    def as_sent(self, values: Sequence[Item]) -> list[Item | None]:
        """Return `values`, which are in the order of the dataset's columns, in the order of the file. Ignored fields
        become None."""
        return [None if column is None else values[column] for column in self.positions]

    @property
    def line_column(self) -> str | None:
        """The name of the staging table's column for the field `line_at`."""
        return None if self.line_at is None else self._ignored_column(self.line_at)

    @property
    def left_out_column(self) -> str | None:
        """The name of the staging table's column for the field `left_out_at`."""
        return None if self.left_out_at is None else self._ignored_column(self.left_out_at)

    def _ignored_column(self, at: int) -> str:
        """Return the name of the staging table's column for an ignored field. These columns have numbers, from 1."""
        return f"ignored_{self.positions[:at].count(None) + 1}"

    def trimmed(self, fields: Sequence[AnyStr]) -> Sequence[AnyStr]:
        """Return the fields without empty fields beyond the last column."""
        kept = len(fields)
        while kept > len(self.positions) and is_blank(fields[kept - 1]):
            kept -= 1
        return fields[:kept]

    def miscounted(self, fields: Sequence[AnyStr]) -> Problem | None:
        """Return the problem of a record with too few or too many fields, or None if their number is right."""
        sent, wanted = len(fields), len(self.positions)
        if sent == wanted:
            return None
        return _miscounted(sent, wanted)


@lru_cache(maxsize=256)
def _miscounted(sent: int, wanted: int) -> Problem:
    """Return the problem of a record with the wrong number of fields. Many records of a file may have the same one."""
    reason = reasons.TOO_FEW_FIELDS if sent < wanted else reasons.TOO_MANY_FIELDS
    return reason.of(wanted=wanted, sent=sent)
