"""Tests that events are divided into requests that EventBridge accepts, and which responses of EventBridge and SNS
allow a retry."""

from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.cloud.event_bus import MOST_BYTES, MOST_ENTRIES, Event, EventBus, batches
from chalicelib.cloud.topics import Topic
from chalicelib.core.errors import Unavailable, Unprocessable


def client(service: str) -> Any:
    make: Any = botocore.session.Session().create_client
    return make(service, "us-east-1", aws_access_key_id="a", aws_secret_access_key="a")


@given(st.lists(st.integers(1, MOST_BYTES // 3), max_size=40))
def test_batches_keep_the_order_and_the_limits_of_a_request(sizes: list[int]) -> None:
    events = [Event("s", "t", "é" * (size // 2)) for size in sizes]
    found = list(batches(events))
    assert [event for batch in found for event in batch] == events
    for batch in found:
        assert 1 <= len(batch) <= MOST_ENTRIES
        assert sum(event.size for event in batch) <= MOST_BYTES


@pytest.mark.parametrize(
    ("codes", "accepted"),
    [
        (["", "", ""], 3),
        (["", "ThrottlingException", ""], 1),
        (["InternalFailure", "", ""], 0),
        (["", "MalformedDetail", ""], 3),  # this event can never be accepted, so it must not hold up the others
        (["AccessDeniedException"] * 3, 0),
    ],
)
def test_the_events_before_the_first_refused_one_are_accepted(codes: list[str], accepted: int) -> None:
    events = client("events")
    results = [{"ErrorCode": code, "ErrorMessage": "no"} if code else {"EventId": "1"} for code in codes]
    with Stubber(events) as stubbed:
        answer = {"FailedEntryCount": sum(map(bool, codes)), "Entries": results}
        entry = {"Source": "hireflow", "DetailType": "hireflow.load", "Detail": "{}"}
        stubbed.add_response("put_events", answer, {"Entries": [entry] * 3})
        assert EventBus(lambda: events).put([Event("hireflow", "hireflow.load", "{}")] * 3) == accepted


def test_a_request_that_can_never_be_accepted_is_divided_and_only_the_bad_event_is_discarded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events, good, bad = client("events"), Event("s", "t", "{}"), Event("s", "t", "{bad")
    with Stubber(events) as stubbed:
        stubbed.add_client_error("put_events", "ValidationException", http_status_code=400)
        for event in (good, bad, good):
            entry = {"Source": "s", "DetailType": "t", "Detail": event.detail}
            if event is bad:
                expected = {"Entries": [entry]}
                stubbed.add_client_error("put_events", "ValidationException", expected_params=expected)
            else:
                answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
                stubbed.add_response("put_events", answer, {"Entries": [entry]})
        assert EventBus(lambda: events).put([good, bad, good]) == 3
        stubbed.assert_no_pending_responses()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_failed_request_to_eventbridge_can_be_sent_again() -> None:
    events = client("events")
    with Stubber(events) as stubbed:
        stubbed.add_client_error("put_events", "InternalException", http_status_code=500)
        with pytest.raises(Unavailable):
            EventBus(lambda: events).put([Event("s", "t", "{}")])


@pytest.mark.parametrize(
    ("code", "raised"), [("InternalError", Unavailable), ("NotFound", Unavailable), ("InvalidParameter", Unprocessable)]
)
def test_only_an_invalid_notice_cannot_be_sent_again(code: str, raised: type[Exception]) -> None:
    sns = client("sns")
    with Stubber(sns) as stubbed:
        stubbed.add_client_error("publish", code)
        with pytest.raises(raised):
            Topic("arn:aws:sns:us-east-1:1:a", lambda: sns).publish("s", "t", {"kind": "k"})
