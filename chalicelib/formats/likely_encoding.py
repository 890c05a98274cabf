"""Guesses the encoding of text that is not UTF-8. The guess is only a hint for people. No file is read with it."""

import re
from typing import Final

_SINGLE_BYTE: Final = ("windows-1252", "ibm850", "macintosh")  # the most likely one first
_OTHER_SCRIPT = re.compile(rb"[\x80-\xff]{4}")  # no language in Latin letters has so many accents in a row
_LEAST_NULS = 0.3  # the least share of NULs in UTF-16; in Latin text, nearly half of the bytes are NUL
_FLORIN = "ƒ"  # Unicode counts it as a letter, but no word contains it
_PUNCTUATION = frozenset("€‚„…‘’“”•–—™ ¡«°»¿")


def likely_encoding(raw: bytes, *, is_first: bool = False) -> str:
    """Return the likely encoding of a record that is not UTF-8, as one of ENCODINGS. Return "" if the script of the
    record does not seem to be Latin. `is_first` is true if the record is at the beginning of the file. Only this record
    shows the byte order of UTF-16: all later records begin with NUL, because lines are split after the byte of LF."""
    if is_wide(raw):
        return "utf-16be" if is_first and raw.startswith(b"\0") else "utf-16le"
    if _OTHER_SCRIPT.search(raw):
        return ""
    return max(_SINGLE_BYTE, key=lambda encoding: _plausibility(raw.decode(encoding, "replace")))


def is_wide(raw: bytes) -> bool:
    """Return whether a record has as many NULs as text in UTF-16 usually has."""
    return len(raw) > 1 and raw.count(0) >= _LEAST_NULS * len(raw)


def _plausibility(text: str) -> int:
    """Return points for how much the letters beyond ASCII look like those of words. Small letters, and capitals that do
    not follow a small letter, give points. Unusual signs lose points."""
    points = 0
    for before, character in zip(" " + text, text, strict=False):
        if character.isascii():
            continue
        if character.isalpha() and character != _FLORIN:
            begins_word = character.isupper() and not before.isalpha()
            is_misplaced = character.isupper() and before.islower()
            points += -1 if is_misplaced else 2 if character.islower() or begins_word else 1
        else:
            points += 1 if character in _PUNCTUATION else -2
    return points
