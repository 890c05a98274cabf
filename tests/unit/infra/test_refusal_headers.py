"""Tests that the responses that the embedded cloud makes in place of the API have the headers for browsers."""

import pytest

from infra.local.gate.app import LONGEST_CALL
from infra.local.runtime import replacement
from tests.asgi import HOST, GateClient, scope
from tests.response_headers import faults


@pytest.mark.parametrize(("host", "size", "status"), [("evil.example", 1, 421), (HOST, LONGEST_CALL + 1, 413)])
def test_a_refusal_of_the_gate_has_the_headers(host: str, size: int, status: int) -> None:
    sent = scope("POST", "/_aws/execute-api/abc123/api/loads") | {"headers": [(b"host", host.encode())]}
    response = GateClient().request(sent, [b"x" * size])
    assert response.status == status
    assert faults(response.headers) == []


def test_the_response_without_a_free_worker_has_the_headers() -> None:
    response = replacement._too_many()["body"]
    assert (response["statusCode"], response["headers"]["Retry-After"]) == (429, "1")
    assert faults(response["headers"]) == []
