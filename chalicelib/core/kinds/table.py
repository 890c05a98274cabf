"""Makes the object of each kind of column. All modules outside this package import `Kind` from here."""

from typing import Final

from chalicelib.core.kinds.booleans import Boolean
from chalicelib.core.kinds.dates import Date
from chalicelib.core.kinds.decimals import decimal
from chalicelib.core.kinds.ids import Id
from chalicelib.core.kinds.instants import Instant
from chalicelib.core.kinds.kind import Kind
from chalicelib.core.kinds.text import Text
from chalicelib.core.kinds.whole_numbers import WholeNumber

__all__ = ["KINDS", "Kind"]

Kind.ID = Id()
Kind.TEXT = Text()
Kind.INSTANT = Instant()
Kind.DATE = Date()
Kind.WHOLE_NUMBER = WholeNumber()
Kind.BOOLEAN = Boolean()
Kind.decimal = decimal
# The last kind is an example of the kinds of decimal numbers.
KINDS: Final = (
    *(Kind.ID, Kind.TEXT, Kind.INSTANT, Kind.DATE, Kind.WHOLE_NUMBER, Kind.BOOLEAN),
    Kind.decimal(12, 2),
)
