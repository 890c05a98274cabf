"""Tests which statements of a connection get a name, and for how long."""

from chalicelib.cloud.prepared_names import FRESH, MOST, OFTEN, PreparedNames


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def named(names: PreparedNames, statement: str) -> bytes:
    """Send a statement until it has a name, and return the name."""
    for _ in range(OFTEN - 1):
        assert names.name_of(statement) is None
    name = names.name_of(statement)
    assert name
    assert not name.is_ready
    names.succeeded(statement)
    return name.text


def test_a_statement_gets_a_name_when_it_is_sent_often() -> None:
    names = PreparedNames()
    first, second = named(names, "SELECT 1"), named(names, "SELECT 2")
    assert first != second
    assert (names.name_of("SELECT 1"), names.name_of("SELECT 2")) == ((first, True), (second, True))


def test_a_statement_is_prepared_again_after_some_time() -> None:
    names = PreparedNames(clock := Clock())
    name = named(names, "SELECT 1")
    clock.seconds += FRESH
    assert names.name_of("SELECT 1") == (name, False)
    names.succeeded("SELECT 1")
    assert names.name_of("SELECT 1") == (name, True)


def test_a_statement_that_failed_or_was_discarded_is_prepared_again() -> None:
    names = PreparedNames()
    name, other = named(names, "SELECT 1"), named(names, "SELECT 2")
    names.failed("SELECT 1")
    assert (names.name_of("SELECT 1"), names.name_of("SELECT 2")) == ((name, False), (other, True))
    names.forget()
    assert names.name_of("SELECT 2") == (other, False)


def test_there_are_only_a_few_names_and_the_statement_that_was_unused_for_longest_loses_its_name() -> None:
    names = PreparedNames()
    of = {n: named(names, f"SELECT {n}") for n in range(MOST)}
    assert names.name_of("SELECT 0") == (of[0], True)
    assert named(names, "SELECT 'more'") == of[1]
    assert names.name_of("SELECT 0") == (of[0], True)
    assert names.name_of("SELECT 1") is None
    assert len(set(of.values())) == MOST


def test_statements_that_are_sent_once_take_little_memory() -> None:
    names = PreparedNames()
    for n in range(10_000):
        assert names.name_of(f"SELECT {n}") is None
    assert len(names._uses) < 300
