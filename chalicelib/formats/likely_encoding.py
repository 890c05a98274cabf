"""What the encoding of text that is not UTF-8 looks like. Nothing is read by such a guess: it is a hint for people."""

import re
from typing import Final

_SINGLE_BYTE: Final = ("windows-1252", "ibm850", "macintosh")  # the most likely one first
_OTHER_SCRIPT = re.compile(rb"[\x80-\xff]{4}")  # no language in Latin letters has so many accents in a row
_LEAST_NULS = 0.3  # of the bytes; nearly half of the bytes of Latin text in UTF-16 are NUL
_FLORIN = "ƒ"  # to Unicode it is a letter, but no word has it
_PUNCTUATION = frozenset("€‚„…‘’“”•–—™ ¡«°»¿")


def likely_encoding(raw: bytes, *, is_first: bool = False) -> str:
    """Return the likely encoding of a record that is not UTF-8, by its name in ENCODINGS. "" if it is in another script
    than the Latin one. `is_first` is whether the record begins the file: only then the order of bytes can be seen."""
    if is_wide(raw):
        return "utf-16be" if is_first and raw.startswith(b"\0") else "utf-16le"
    if _OTHER_SCRIPT.search(raw):
        return ""
    return max(_SINGLE_BYTE, key=lambda encoding: _plausibility(raw.decode(encoding, "replace")))


def is_wide(raw: bytes) -> bool:
    """Whether a record has as many NULs as text in UTF-16."""
    return len(raw) > 1 and raw.count(0) >= _LEAST_NULS * len(raw)


def _plausibility(text: str) -> int:
    """How much a text looks like words: small letters after small letters, capitals at the beginning of words."""
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
