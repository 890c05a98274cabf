"""Declares the limits of values."""

from typing import Final

MAX_ID: Final = 2_147_483_647
MAX_TEXT: Final = 10_000  # characters
MIN_WHOLE_NUMBER: Final = -(2**63)
MAX_WHOLE_NUMBER: Final = 2**63 - 1
