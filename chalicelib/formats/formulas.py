"""Text that a spreadsheet would take for a formula.

A spreadsheet takes text for a formula if its first character is, for example, `=`. As OWASP advises ("CSV Injection"),
such a cell begins with an apostrophe.
"""

FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # full-width characters begin formulas in some locales
_ENCODED = tuple(character.encode() for character in FORMULA)


def guarded(text: str) -> str:
    """The text as it is written to a cell that comes back: `unguarded` takes the apostrophe away again.

    Text that has such an apostrophe of its own gets one, too. Otherwise it would lose its own.
    """
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def unguarded(field: bytes) -> bytes:
    """The field of a file without the apostrophe that `guarded` has added."""
    return field[1:] if field.startswith(b"'") and field.lstrip(b"'").startswith(_ENCODED) else field
