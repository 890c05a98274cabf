"""Tests that a statement with parameters is parsed only once."""

from chalicelib.cloud.statements import parsed


def test_a_statement_is_parsed_only_once_although_each_caller_makes_its_own_text() -> None:
    first, second = (" ".join(["SELECT", ":b, :a, :b"]) for _ in range(2))
    assert first is not second
    statement, values = parsed(first)
    assert (statement, values({"a": 1, "b": 2})) == ("SELECT $1, $2, $1", (2, 1))
    assert parsed(second) is parsed(first)
    assert values({"a": 3, "b": 4}) == (4, 3), "the values of an earlier call must not stay"
