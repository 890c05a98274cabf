"""Tests the arithmetic of the measurements under load, and the requests that their callers send."""

import json

import pytest

from bench.callers import Answer, Traffic
from bench.traffic import READS, Requests, split


def traffic(*answers: tuple[str, int, float]) -> Traffic:
    return Traffic([Answer("name", method, status, seconds, 10) for method, status, seconds in answers], seconds=2.0)


def test_refused_requests_and_failed_requests_are_counted_apart() -> None:
    refusals, failures = [("GET", 429, 2.0), ("GET", 503, 0.1)], [("GET", 504, 29.0), ("GET", 0, 35.0)]
    measured = traffic(*[("GET", 200, 0.1)] * 5, ("POST", 201, 0.1), *refusals, *failures)
    assert measured.refused == pytest.approx(20)
    assert measured.failed == {"504": 1, "no response": 1}
    assert measured.rate == 3.0  # only successes count


def test_a_percentile_includes_requests_without_a_response() -> None:
    measured = traffic(*[("GET", 200, 0.1)] * 98, ("GET", 0, 35.0), ("GET", 0, 35.0), ("POST", 200, 99.0))
    assert measured.percentile(0.5, "GET") == 0.1
    assert measured.percentile(0.99, "GET") == 35.0
    assert measured.percentile(1.0) == 99.0


def test_mixed_requests_include_every_kind_and_never_repeat_an_id() -> None:
    requests = Requests("http://127.0.0.1:1/api")
    sent = [requests.mixed() for _ in range(500)]
    assert {request.path for request in sent if request.method == "GET"} == {f"/api{path}" for path, _ in READS}
    bodies = [json.loads(request.body) for request in sent if request.method == "POST"]
    ids = [row["id"] for body in bodies for row in body.get("data", [body])]
    assert len(ids) == len({*ids}) > 500


def test_the_parts_of_a_file_are_about_equal_and_lose_no_line() -> None:
    file = b"".join(b"%d\n" % number for number in range(1000))
    parts = split(file, 300)
    assert b"".join(parts) == file
    assert {part.count(b"\n") for part in parts} == {3, 4}
