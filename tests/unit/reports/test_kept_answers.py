"""Tests which reports a process keeps in memory."""

import gc

from chalicelib.cloud.database import Session
from chalicelib.reports.declaration import Scope, Span
from chalicelib.reports.hires import QUARTERLY, TOP
from chalicelib.reports.kept_answers import Answer, Asked, KeptAnswers

SESSION, OTHER = Session.__new__(Session), Session.__new__(Session)


def asked(year: int) -> Asked:
    return Asked(QUARTERLY, Span.YEAR, Scope(year, year))


def test_an_answer_is_kept_for_its_report_and_its_scope() -> None:
    kept = KeptAnswers()
    kept.keep(SESSION, asked(2021), answer := Answer("a", "[]"))
    assert kept.last(SESSION, asked(2021)) is answer
    for other in (
        asked(2020),
        Asked(TOP, Span.YEAR, Scope(2021, 2021)),
        Asked(QUARTERLY, Span.RANGE, Scope(2021, 2021)),
    ):
        assert kept.last(SESSION, other) is None
    kept.keep(SESSION, asked(2021), newer := Answer("b", "[]"))
    assert kept.last(SESSION, asked(2021)) is newer


def test_another_connection_gets_no_answer_of_this_one() -> None:
    kept = KeptAnswers()
    kept.keep(SESSION, asked(2021), Answer("a", "[]"))
    assert kept.last(OTHER, asked(2021)) is None
    kept.keep(OTHER, asked(2020), answer := Answer("a", "[]"))
    assert (kept.last(OTHER, asked(2020)), kept.last(OTHER, asked(2021))) == (answer, None)
    assert kept.last(SESSION, asked(2021)) is None


def test_a_new_connection_gets_no_answer_of_one_that_is_gone() -> None:
    kept, gone = KeptAnswers(), Session.__new__(Session)
    kept.keep(gone, asked(2021), Answer("a", "[]"))
    del gone
    gc.collect()
    assert kept.last(SESSION, asked(2021)) is None


def test_the_answers_that_were_unused_for_longest_are_dropped() -> None:
    kept = KeptAnswers(most_bytes=4000)
    for year in range(2000, 2100):
        kept.keep(SESSION, asked(year), Answer("a", "x" * 900))
        assert kept.last(SESSION, asked(2000)), year
    assert [year for year in range(2001, 2100) if kept.last(SESSION, asked(year))] == [2097, 2098, 2099]


def test_an_answer_that_replaces_another_does_not_count_twice() -> None:
    kept = KeptAnswers(most_bytes=4000)
    for _ in range(100):
        kept.keep(SESSION, asked(2021), Answer("a", "x" * 1500))
        kept.keep(SESSION, asked(2020), Answer("a", "x" * 1500))
    assert kept.last(SESSION, asked(2021))
    assert kept.last(SESSION, asked(2020))


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    kept = KeptAnswers(most_bytes=4000)
    kept.keep(SESSION, asked(2021), Answer("a", "x" * 5000))
    assert kept.last(SESSION, asked(2021)) is None
