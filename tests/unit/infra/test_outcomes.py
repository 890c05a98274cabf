"""Tests that the server gets every result of a function unchanged, also if its body has a frame of its own."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.runtime import bootstrap
from infra.local.runtime.worker import Outcome

ABOUT = {"name": "f", "version": "1", "memory": 128, "arn": "arn", "log_stream": "s", "timeout": 3}
VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
BODIES = st.builds(
    lambda text, times: text * times, st.text(st.characters(exclude_categories=())), st.integers(0, 20_000)
)


def outcome_of(result: Any) -> Outcome:
    kind, encoded, body = bootstrap._handle(lambda _event, _context: result, None, bootstrap.Context(ABOUT, "id"))
    return Outcome(encoded, kind == bootstrap.ERROR, body)


@given(st.dictionaries(st.sampled_from(["statusCode", "headers", "body", "other"]), VALUES | BODIES) | VALUES | BODIES)
def test_a_result_is_the_same_for_the_server(result: Any) -> None:
    outcome = outcome_of(result)
    assert not outcome.failed
    assert outcome.parsed() == json.loads(outcome.content) == json.loads(json.dumps(result))


def test_only_the_long_body_of_a_response_has_a_frame_of_its_own() -> None:
    body = "[" + 20_000 * '"' + "]"
    assert outcome_of({"statusCode": 200, "body": body}).body == body.encode()
    for other in ({"body": body}, {"statusCode": 200, "body": [body]}, {"statusCode": 200, "body": body[:9]}, body):
        assert outcome_of(other).body is None


@pytest.mark.parametrize("body", ["\ud83d\ude00", "\ud800"])
@pytest.mark.parametrize("times", [1, 20_000])
def test_the_halves_of_a_character_are_joined_whatever_the_length(body: str, times: int) -> None:
    outcome = outcome_of({"statusCode": 200, "body": body * times})
    assert outcome.body is None
    assert outcome.parsed()["body"] == json.loads(json.dumps(body * times))


def test_an_error_has_no_body() -> None:
    outcome = outcome_of({"statusCode": 200, "body": 20_000 * "x", "headers": {1, 2}})
    assert (outcome.failed, outcome.body, outcome.parsed()["errorType"]) == (True, None, "TypeError")
