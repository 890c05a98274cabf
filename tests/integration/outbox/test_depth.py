"""Tests a stage on which only the relay can measure the dead-letter queue, because the other functions cannot reach it.
/health and the dashboard show the depth that was measured last, and its age if it is old."""

import pytest

from chalicelib.monitoring import gauges
from chalicelib.outbox import store
from chalicelib.outbox.messages import Order
from chalicelib.services import services
from tests.integration.http_api import Api
from tests.integration.sqs_fixtures import Queue


@pytest.fixture
def by_relay(api: Api, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("AWS_CALLS", "relay")
    services.cache_clear()
    queue.send("hello")
    queue.calls.clear()
    return api


def measure(depth: int, minutes_ago: int = 0) -> None:
    """Store a depth, and forget the depth that /health has read, which it would show for some seconds."""
    vars(services()).pop("readiness", None)
    with services().database.session() as session:
        store.take(session, Order("me", dead_letters=depth))
        session.run(f"UPDATE relay_state SET measured_at = measured_at - interval '{minutes_ago} minutes'")


def test_health_shows_the_last_measured_depth_and_its_age_if_it_is_old(by_relay: Api, queue: Queue) -> None:
    body = by_relay.get("/health").body
    assert (body["dead_letters"], "dead_letters_age_seconds" in body) == (None, False)
    measure(3)
    body = by_relay.get("/health").body
    assert (body["dead_letters"], "dead_letters_age_seconds" in body) == (3, False)
    measure(3, minutes_ago=10)
    body = by_relay.get("/health").body
    assert body["dead_letters"] == 3
    assert 600 <= body["dead_letters_age_seconds"] < 660
    assert queue.calls == []  # the API sends no request to the queue, which it cannot reach


def test_the_dashboard_says_when_an_old_depth_was_measured(by_relay: Api) -> None:
    measure(3)
    assert "measured" not in by_relay.get("/dashboard/health").body
    measure(3, minutes_ago=10)
    assert "measured 10 minutes ago" in by_relay.get("/dashboard/health").body


def test_an_old_depth_is_not_written_as_a_metric(by_relay: Api) -> None:
    parts = services()
    measure(3)
    assert gauges.read(parts.database, parts.storage, parts.measured_queue).dead_letters == 3
    measure(3, minutes_ago=10)
    assert gauges.read(parts.database, parts.storage, parts.measured_queue).dead_letters is None


def test_the_gauges_count_what_the_relay_has_not_sent(api: Api) -> None:
    parts = services()
    before = gauges.read(parts.database, parts.storage, parts.measured_queue)
    assert (before.unsent, before.unsent_age) == (0, 0.0)
    api.post("/department/upload", {"department": "Sales"})
    with parts.database.session() as session:
        session.run("UPDATE outbox SET created_at = created_at - interval '2 minutes'")
    after = gauges.read(parts.database, parts.storage, parts.measured_queue)
    assert after.unsent == 1
    assert after.unsent_age is not None
    assert 120 <= after.unsent_age < 180
