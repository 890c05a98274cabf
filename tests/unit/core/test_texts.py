"""Tests how hidden characters are shown, and which characters the name of a file may have."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.texts import HIDDEN, as_file_name, with_visible_marks
from chalicelib.dashboard import pages


@given(st.text())
def test_a_text_with_visible_marks_has_no_character_that_hides_or_reorders(text: str) -> None:
    shown = with_visible_marks(text)
    classes = {unicodedata.bidirectional(char) for char in shown}
    assert classes.isdisjoint({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
    assert not {"\u200e", "\u200f", "\u061c", "\u200b", "\ufeff", "\x1b", "\x9b"} & {*shown}
    assert with_visible_marks(shown) == shown


def test_marks_name_their_characters_and_other_text_stays() -> None:
    assert with_visible_marks("a\u202eb\x1b") == "a[U+202E]b[U+001B]"
    family = "\U0001f468\u200d\U0001f469"  # an emoji of two people, joined by U+200D
    for text in ("Ada\tLund\r\n", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", family):
        assert with_visible_marks(text) == text


def test_the_page_marks_the_same_characters_as_the_server() -> None:
    assert f"const HIDDEN = /[{HIDDEN}]/g;" in pages.asset("page.js")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("jobs\u202egpj.csv", "jobs_gpj.csv"),
        ("..\\..\\jobs.csv", ".._.._jobs.csv"),
        ('a/b:c*?"<>|.csv', "a_b_c______.csv"),
        ("jobs\r\nX-Evil: 1.csv", "jobs__X-Evil_ 1.csv"),
        ("\u00e9t\u00e9 2021.csv", "\u00e9t\u00e9 2021.csv"),
    ],
)
def test_a_file_name_keeps_only_characters_that_every_system_accepts(name: str, safe: str) -> None:
    assert as_file_name(name) == safe


@given(st.text())
def test_a_file_name_can_be_sent_in_a_header(name: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f/\\\\]", as_file_name(name))
    as_file_name(name).encode()  # raises an error if the name has a lone surrogate
