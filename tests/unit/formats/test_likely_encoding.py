"""Tests the guess of the encoding of undecodable records."""

import pytest

from chalicelib.formats.likely_encoding import is_wide, likely_encoding

FRENCH, GERMAN, SPANISH = "1,Rédacteur à l'étranger", "2,Bäcker für Öfen", "3,Señor Ibáñez"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((text, encoding) for text in (FRENCH, GERMAN, SPANISH) for encoding in ("windows-1252", "ibm850")),
        (FRENCH, "macintosh"),
    ],
)
def test_words_in_latin_letters_tell_their_encoding(text: str, encoding: str) -> None:
    assert likely_encoding(text.encode(encoding)) == encoding


def test_nothing_is_guessed_about_other_scripts() -> None:
    for encoding, text in (("windows-1251", "1,Рекрутер"), ("shift_jis", "1,採用担当者"), ("koi8-r", "1,Рекрутер")):
        assert likely_encoding(text.encode(encoding)) == ""


def test_the_first_record_of_utf_16_tells_the_order_of_bytes() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        first = "id,job".encode(encoding)
        assert is_wide(first)
        assert likely_encoding(first, is_first=True) == encoding.replace("-16-", "-16")
    assert likely_encoding("\n2,Clerk".encode("utf-16-le")[1:]) == "utf-16le"


@pytest.mark.parametrize("raw", [b"", b"\0", b"7,a\0b", b"1,Clerk"])
def test_a_single_nul_is_not_utf_16(raw: bytes) -> None:
    assert not is_wide(raw)


@pytest.mark.parametrize(
    "word", ["Ärzte", "Ämter", "Österreich", "Übung", "Éric", "Ñandú", "Ørsted", "Åse", "À bord", "ÄRZTE", "GRÖSSE"]
)
def test_a_word_may_begin_with_a_letter_that_is_not_ascii(word: str) -> None:
    assert likely_encoding(f"6,{word}".encode("windows-1252")) == "windows-1252"
