"""Tests the pages of log events. Every event is on exactly one page. It has the same id every time somebody reads
it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.local.logevents import MOST, Page

Events = list[dict[str, Any]]


def ministack(events: Events, request: dict[str, Any]) -> dict[str, Any]:
    """Return a response as ministack sends it: the oldest events that match the request. The response does not say
    whether there are more events."""
    matching = [event for event in events if event["timestamp"] >= request.get("startTime", 0)]
    return {"events": matching[: request["limit"]], "searchedLogStreams": []}


def read(events: Events, request: dict[str, Any]) -> Events:
    """Return the events of all pages."""
    read_so_far: Events = []
    for _ in range(len(events) + 2):
        page = Page.of(request)
        response = page.response(ministack(events, page.request))
        read_so_far += response["events"]
        if "nextToken" not in response:
            return read_so_far
        request = {**request, "nextToken": response["nextToken"]}
    raise AssertionError("the pages do not end")


def event(at: int, stream: str, message: str) -> dict[str, Any]:
    return {"timestamp": at, "logStreamName": stream, "message": message}


EVENTS = st.lists(st.builds(event, st.integers(1, 4), st.sampled_from("ab"), st.sampled_from("xy")), max_size=30)


@given(
    EVENTS.map(lambda events: sorted(events, key=lambda one: one["timestamp"])), st.integers(1, 12), st.integers(0, 4)
)
def test_every_event_is_on_one_page_and_has_an_id_of_its_own(events: Events, limit: int, start: int) -> None:
    whole = read(events, {"logGroupName": "g"})
    assert [{k: v for k, v in one.items() if k != "eventId"} for one in whole] == events
    assert len({one["eventId"] for one in whole}) == len(events)
    wanted = [one for one in whole if one["timestamp"] >= start]
    assert read(events, {"logGroupName": "g", "startTime": start, "limit": limit}) == wanted


def test_an_event_with_an_id_keeps_it() -> None:
    named = {**event(1, "a", "x"), "eventId": "7"}
    assert read([named], {}) == [named]


def test_more_events_of_one_millisecond_than_a_page_holds_do_not_stop_the_pages() -> None:
    events = [event(1, "a", "x")] * (MOST + 5) + [event(2, "a", "y")]
    assert [one["message"] for one in read(events, {})] == ["x"] * MOST + ["y"]
