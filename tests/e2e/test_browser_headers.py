"""Tests that every response of a deployed stage has the headers for browsers, including the responses of API Gateway
itself."""

import pytest

from tests.e2e.cloud import Cloud, until
from tests.response_headers import KINDS, faults, statuses

EXPECTED = {"usual": 200, "known": 304, "as CSV": 200, "with a job": 201, "malformed": 400, "of another type": 415}
EXPECTED |= {"of another origin": 403, "with an unknown query": 422}


@pytest.mark.parametrize("kind", KINDS)
def test_responses_of_every_route_have_the_headers(cloud: Cloud, kind: str) -> None:
    assert EXPECTED[kind] in statuses(cloud.send, kind, {})
    # Some requests order restores. They hold locks that the next test needs to empty the tables.
    unfinished = "SELECT 1 FROM loads WHERE version IS NOT NULL AND status IN ('queued', 'running')"
    until(lambda: not cloud.sql(unfinished), "the end of all loads")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/health"), ("OPTIONS", "/loads")])
def test_api_gateway_sends_the_headers_if_there_is_no_such_route(cloud: Cloud, method: str, path: str) -> None:
    response = cloud.send(method, path)
    assert response.status == 403
    assert response.body == {"message": "Missing Authentication Token"}
    assert faults(response.headers, of_gateway=True) == []


def test_a_body_that_api_gateway_refuses_is_answered_with_the_headers(cloud: Cloud, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("LocalStack passes such a body to the API")
    response = cloud.send("POST", "/job/upload", b" " * 10_500_000, {"Content-Type": "application/json"})
    assert response.status == 413
    assert faults(response.headers, of_gateway=True) == []
