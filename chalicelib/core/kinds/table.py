"""Makes the object of each kind of column. All modules outside this package import `Kind` from here."""

from typing import Final

from chalicelib.core.kinds.ids import Id
from chalicelib.core.kinds.instants import Instant
from chalicelib.core.kinds.kind import Kind
from chalicelib.core.kinds.text import Text

__all__ = ["KINDS", "Kind"]

Kind.ID = Id()
Kind.TEXT = Text()
Kind.INSTANT = Instant()
KINDS: Final = (Kind.ID, Kind.TEXT, Kind.INSTANT)
