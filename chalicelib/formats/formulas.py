"""Protects spreadsheets from text that they would treat as a formula.

A spreadsheet treats a text as a formula if its first character is, for example, `=`. OWASP advises to put an apostrophe
before such a text ("CSV Injection").
"""

FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # full-width characters begin formulas in some locales
_ENCODED = tuple(character.encode() for character in FORMULA)


def guarded(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would treat as a formula. `unguarded` removes the apostrophe.

    A text such as `'=x` already has an apostrophe of its own. It gets another one. Otherwise `unguarded` would remove
    the text's own apostrophe.
    """
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def unguarded(field: bytes) -> bytes:
    """Return the field of a file without the apostrophe that `guarded` has added."""
    return field[1:] if field.startswith(b"'") and field.lstrip(b"'").startswith(_ENCODED) else field
