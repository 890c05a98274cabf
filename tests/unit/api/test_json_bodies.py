"""Tests that the numbers in the JSON of a request reach the rules unchanged."""

import base64
import json
from typing import Any

import pytest
from chalice.app import Request
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.http.requests import json_body
from chalicelib.core.json_numbers import JsonNumber, exact, whole
from chalicelib.core.kinds.table import Kind
from chalicelib.core.rules import check_object
from chalicelib.ingest.rejects import row_of_object
from chalicelib.ingest.upload_forms import checked
from tests.kinds import SAMPLES

DIGITS = st.text("0123456789", min_size=1, max_size=18)


def parsed(body: str) -> Any:
    context = {"httpMethod": "POST", "resourcePath": "/", "identity": {}}
    event = {"requestContext": context, "headers": {"content-type": "application/json"}, "isBase64Encoded": True}
    names = ("multiValueQueryStringParameters", "pathParameters", "stageVariables")
    return json_body(Request({**event, **dict.fromkeys(names), "body": base64.b64encode(body.encode()).decode()}, None))


@given(st.sampled_from(["", "-"]), DIGITS.map(int), DIGITS)
def test_all_digits_of_a_number_reach_a_decimal(sign: str, before: int, after: str) -> None:
    number = f"{sign}{before}.{after}"
    kind = Kind.decimal(38, 18)
    assert kind.stored(kind.check(parsed(number))) == kind.stored(kind.check(number))


def test_a_number_that_no_float_holds_reaches_a_decimal() -> None:
    number = "1234567890123456789.012345678901234567"
    assert Kind.decimal(38, 18).check(parsed(number)) == number != repr(float(number))


@given(st.integers(-(10**40), 10**40))
def test_whole_numbers_keep_all_their_digits_also_if_they_are_written_with_a_point(number: int) -> None:
    short, long = parsed(f"[{number}, {number}.0]")
    assert (short, whole(long)) == (number, number)


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e99999999999999999999", "1" * 5000, "1e-400", "0e-9999999999"])
def test_a_number_of_any_size_is_refused_or_zero_and_can_be_quoted(text: str) -> None:
    row = parsed(f'{{"id": {text}, "a_whole_number": {text}, "a_decimal_12_2": {text}, "a_boolean": {text}}}')
    problems = {problem.field for problem in check_object(SAMPLES, row).problems}
    assert {"id", "a_text", "a_date"} <= problems
    assert ("a_whole_number" in problems) == (not text.startswith("0"))
    assert "Infinity" not in json.dumps(row)
    reported = row_of_object(SAMPLES, row)
    assert reported is not None
    assert reported["id"] == text


def test_numbers_with_a_point_are_also_floats_for_all_other_code() -> None:
    number = parsed("1.50")
    assert isinstance(number, JsonNumber)
    assert (number, number.text, str(exact(number))) == (1.5, "1.50", "1.50")
    assert json.dumps({"row": number}) == '{"row": 1.5}'
    assert checked({"dataset": "jobs", "filename": "jobs.csv", "size": parsed("12.0")}).size == 12
