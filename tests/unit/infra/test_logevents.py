"""Pages of log events: every event on one of them, and named the same whenever it is read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.local.logevents import MOST, Page

Events = list[dict[str, Any]]


def ministack(events: Events, order: dict[str, Any]) -> dict[str, Any]:
    """The oldest of what was asked for, and not a word of the rest."""
    found = [event for event in events if event["timestamp"] >= order.get("startTime", 0)]
    return {"events": found[: order["limit"]], "searchedLogStreams": []}


def read(events: Events, asked: dict[str, Any]) -> Events:
    found: Events = []
    for _ in range(len(events) + 2):
        page = Page.of(asked)
        response = page.response(ministack(events, page.order))
        found += response["events"]
        if "nextToken" not in response:
            return found
        asked = {**asked, "nextToken": response["nextToken"]}
    raise AssertionError("the pages come to no end")


def event(at: int, stream: str, message: str) -> dict[str, Any]:
    return {"timestamp": at, "logStreamName": stream, "message": message}


EVENTS = st.lists(st.builds(event, st.integers(1, 4), st.sampled_from("ab"), st.sampled_from("xy")), max_size=30)


@given(EVENTS.map(lambda found: sorted(found, key=lambda one: one["timestamp"])), st.integers(1, 12), st.integers(0, 4))
def test_every_event_is_on_one_page_and_has_an_id_of_its_own(events: Events, limit: int, start: int) -> None:
    whole = read(events, {"logGroupName": "g"})
    assert [{k: v for k, v in one.items() if k != "eventId"} for one in whole] == events
    assert len({one["eventId"] for one in whole}) == len(events)
    wanted = [one for one in whole if one["timestamp"] >= start]
    assert read(events, {"logGroupName": "g", "startTime": start, "limit": limit}) == wanted


def test_an_id_that_is_there_stays() -> None:
    named = {**event(1, "a", "x"), "eventId": "7"}
    assert read([named], {}) == [named]


def test_more_events_of_one_moment_than_an_answer_holds_do_not_stop_the_pages() -> None:
    events = [event(1, "a", "x")] * (MOST + 5) + [event(2, "a", "y")]
    assert [one["message"] for one in read(events, {})] == ["x"] * MOST + ["y"]
