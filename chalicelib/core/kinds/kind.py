"""Defines what a kind of column has.

A value has four forms:
- The *sent* form is what a client sends: the text of a CSV field, or a JSON value.
- The *checked* form is what a rule returns: an `int`, a `str` or a `bool`. Postgres gets it as text or as JSON.
- The *stored* form is what is read from an Avro file: an `int`, a `str` or a `bool`, and None for null. An instant is
  the number of microseconds since 1970 in UTC. A date is the number of days since 1970. A decimal with two digits after
  the point is the number of hundredths: 12.50 is 1250.
- The *written* form is what fastavro writes without a logical type. Only for decimals, it differs from the stored form:
  they are written as bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from chalicelib.core.declarations import Dates
from chalicelib.core.kinds.values import Cell, Value

Json = dict[str, Any]
Conversion = Callable[[Any], Any]


def same(value: Any) -> Any:
    """Convert nothing. `conversion is same` means that no conversion is needed."""
    return value


class Kind(ABC):
    """A kind of column. There is one object for each kind, so kinds can be compared with `is`. The module `table` makes
    these objects.

    `name` is the name in documentation, and `sql` is the type in Postgres. `example` is the default example of a
    column. `athena` is the type in Athena, and `athena_unit` is added to the comment of the column there.
    """

    ID: "ClassVar[Kind]"
    TEXT: "ClassVar[Kind]"
    INSTANT: "ClassVar[Kind]"
    DATE: "ClassVar[Kind]"
    WHOLE_NUMBER: "ClassVar[Kind]"
    BOOLEAN: "ClassVar[Kind]"
    # A function of the precision, from 1 to 38, and of the scale, from 0 to the precision. It returns the same object
    # for the same numbers. Raises InvalidDeclaration.
    decimal: "ClassVar[Callable[[int, int], Kind]]"

    name: str
    sql: str
    example: Value
    athena: str
    athena_unit: str = ""
    # Whether every text without NUL is a value. If so, a text under this column may be a value or a name of a header.
    takes_any_text: bool = False

    # ---- rules: the sent form of one value

    @abstractmethod
    def check(self, value: Any) -> Value:
        """Return the checked form of a JSON value or of a text. Raises Missing, or Broken with the reason."""

    def check_in_file(self, dates: Dates, value: Any) -> Value:
        """Return the checked form of a text of a file. `dates` is the declared order of day and month. Raises Missing,
        or Broken with the reason."""
        return self.check(value)

    def check_stored(self, value: Any, *, is_trusted: bool) -> Value:
        """Return the checked form of a value that `shown` has returned. A trusted value comes from one of our restore
        points, so it was in the table before. Raises Missing, or Broken with the reason."""
        return self.check(value)

    def shown(self, stored: Any) -> Any:
        """Convert a value from the stored form to the sent form."""
        return stored

    def stored(self, checked: Value) -> Any:
        """Convert a value from the checked form to the stored form."""
        return checked

    # ---- whole columns: the loops run in C, and no value is None

    @abstractmethod
    def are_usual(self, values: Sequence[Any]) -> bool:
        """Return whether all sent values are valid JSON values of the most common form, so that each of them is its own
        checked form."""

    @abstractmethod
    def are_valid(self, stored: Sequence[Any]) -> bool:
        """Return whether all stored values keep the rule, and the rule changes none of them."""

    def can_be_stored(self, stored: Sequence[Any]) -> bool:
        """Return whether Postgres can hold all stored values of a trusted file."""
        return self.are_valid(stored)

    # ---- CSV

    # The pattern of a whole number that may be written with a point and zeros in a clean field (12.0). COPY gets the
    # number without them (12). The pattern is empty if the kind has no such numbers.
    whole: bytes = b""

    @abstractmethod
    def clean(self, delimiter: bytes) -> bytes:
        """Return the pattern of a clean field without quotes: a valid value that COPY's text format takes unchanged.
        `delimiter` is escaped for a character class. The pattern must not match an empty field."""

    # ---- COPY's binary format, and the snapshot for backups

    # The code of `struct` for a value in Postgres's binary format ("i"), or "" if values have different sizes.
    packing: str = ""

    @abstractmethod
    def for_copy(self, stored: Sequence[Any]) -> Iterable[Any]:
        """Convert stored values, none of which is None, to COPY's binary format: numbers for `packing`, or bytes."""

    @abstractmethod
    def aggregate(self, column: str) -> str:
        """Return the SQL aggregate that joins all values of a column that are not NULL to one bytea. `column` is
        quoted."""

    @abstractmethod
    def written(self, field: memoryview) -> Sequence[Any]:
        """Split the bytea of `aggregate` into its values, in the written form. The bytea has at least one value."""

    def length(self, column: str) -> str:
        """Return the SQL expression for the size of a value in the bytea, in bytes. Return "" if every value is small.
        `column` is quoted."""
        return ""

    # ---- spreadsheets

    # The number format of a column in a workbook, or "" for the general format.
    cell_format: str = ""

    def cell(self, value: Value) -> Cell:
        """Return a value in the form of a cell in a spreadsheet. `value` is an example or in the checked form."""
        return value

    # ---- Avro

    # The type in the schema of our files, and the type of the written form without logical type.
    avro: Any
    avro_plain: str
    # What an error advises instead of a type that cannot be read: the types to declare.
    avro_wanted: str

    @property
    @abstractmethod
    def avro_readable(self) -> Mapping[str, Conversion]:
        """The types that can be read, as "type logical-type", with the conversions to the stored form.

        A conversion takes what fastavro reads without the logical type: an int, a str, a bool or bytes. A kind with
        `avro_plain` "bytes" reads bytes; for the other kinds, bytes are read as a str.
        """

    def avro_conversion(self, name: str, scale: int) -> Conversion | None:
        """Return the conversion for the type `name` in the form of `avro_readable`, or None if the type cannot be read.
        `scale` is the scale that the type declares if it is a decimal."""
        return self.avro_readable.get(name)

    def avro_default(self, checked: Value) -> int | str | bool:
        """Return a default value in the form of a schema. `checked` is in the checked form."""
        default: int | str | bool = self.stored(checked)
        return default

    # ---- documentation

    @abstractmethod
    def schema(self) -> tuple[str, Json]:
        """Return what a value must be, as a part of a sentence, and the JSON schema of a sent value."""
