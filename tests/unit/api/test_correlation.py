"""Tests the correlation id of a request: the id that the caller sent if it is well-formed, otherwise API Gateway's
id."""

import re
from typing import Any

import pytest
from chalice.app import Request
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.api.http.requests import correlation_id
from chalicelib.core import correlation

OF_GATEWAY, OF_LAMBDA = "0358fce5-4dd0-4517-9f6b-6ab84a653849", "b80cd0b6-c3d7-4654-a5be-7fda46654e86"


class Context:
    aws_request_id = OF_LAMBDA


def request(headers: dict[str, str], **context: Any) -> Request:
    event = {
        "requestContext": {"httpMethod": "GET", "resourcePath": "/loads", **context},
        "headers": headers,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "body": None,
        "stageVariables": None,
        "isBase64Encoded": False,
    }
    return Request(event, Context())


SANE = st.from_regex(re.compile("[A-Za-z0-9._-]{1,64}", re.ASCII), fullmatch=True)


@given(SANE | st.text(max_size=70) | st.text("ab._-é\n ", max_size=70))
@example("a\n")
@example("a" * 64)
@example("a" * 65)
@example("٢٠٢١")
@example("")
def test_a_well_formed_id_is_kept_and_any_other_id_is_replaced(sent: str) -> None:
    found = correlation_id(request({"x-correlation-id": sent}, requestId=OF_GATEWAY))
    sane = 1 <= len(sent) <= 64 and sent.isascii() and all(c.isalnum() or c in "._-" for c in sent)
    assert found == (sent if sane else OF_GATEWAY)


@pytest.mark.parametrize("header", ["X-Correlation-Id", "x-correlation-id", "X-CORRELATION-ID"])
def test_the_case_of_the_header_does_not_matter(header: str) -> None:
    assert correlation_id(request({header: "mine"}, requestId=OF_GATEWAY)) == "mine"


def test_a_request_without_api_gateway_gets_the_id_of_its_invocation() -> None:
    assert correlation_id(request({})) == OF_LAMBDA


@given(st.integers(1, 2**63 - 1), st.none() | SANE | st.text(max_size=70))
def test_the_metadata_of_objects_is_safe_in_a_header(load_id: int, called: str | None) -> None:
    found = correlation.metadata(load_id, called)
    assert found["load-id"] == str(load_id)
    assert all(re.fullmatch("[!-~]{1,64}", value) for value in found.values())
    assert found.get("correlation-id") in (None, called)
    assert "correlation-id" in found or not called or not correlation.is_sane(called)
