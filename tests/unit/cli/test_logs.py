"""Tests how the command `logs` reads log lines page by page, and shows each line once and in the order of time."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.cloudwatch import Logs, groups, pattern
from cli.errors import CommandError, Misuse
from cli.loglines import Line, in_order

LOAD = {
    "at": "2021-07-27T16:02:08.123Z",
    "level": "WARNING",
    "logger": "hireflow.ingest",
    "message": "load failed",
    "request_id": "f7e7",
    "seconds": 0.5,
    "note": "two words",
    "load_id": 7,
    "correlation_id": "undo-monday",
    "exceptions": [{"type": "LoadError", "detail": "no gzip", "at": ["a.py:1 f", "b.py:2 g"]}],
}
METRICS = {"_aws": {"Timestamp": 1627401728123}, "at": LOAD["at"], "dataset": "jobs", "RowsReceived": 3}
START = "START RequestId: f7e7 Version: $LATEST"


def line(said: dict[str, Any] | str, function: str = "ingest") -> Line:
    return Line.of(function, 1627401728999, said if isinstance(said, str) else json.dumps(said))


def test_a_json_line_is_shown_with_its_fields() -> None:
    assert list(line(LOAD).shown()) == [
        "2021-07-27T16:02:08.123Z  WARNING  ingest  load failed  load_id=7 seconds=0.5"
        ' note="two words" correlation_id=undo-monday',
        "                          LoadError: no gzip (b.py:2 g)",
    ]


def test_metrics_are_distinguished_from_log_lines() -> None:
    assert line(METRICS).of_metrics
    assert not line(LOAD).of_metrics
    assert list(line(METRICS).shown()) == ["2021-07-27T16:02:08.123Z  METRIC   ingest  dataset=jobs RowsReceived=3"]


@pytest.mark.parametrize("text", ["Task timed out after 3.00 seconds", "{", '{"a": ', "[1]", "{}x", "null"])
def test_a_line_that_is_not_json_is_shown_unchanged(text: str) -> None:
    assert list(line(text).shown()) == [f"2021-07-27T16:02:08.999Z           ingest  {text}"]
    assert not line(text).of_platform


def test_lines_of_lambda_itself_are_recognized_unless_they_report_a_failure() -> None:
    assert line(START).of_platform
    assert line("REPORT RequestId: f7e7\tDuration: 3 ms").of_platform
    assert not line("REPORT RequestId: f7e7\tDuration: 3 ms\tStatus: timeout").of_platform


def test_a_line_concerns_a_load_by_either_id() -> None:
    assert line(LOAD).concerns({"load_id": 7})
    assert line({"correlation_id": "undo-monday"}).concerns({"load_id": 8, "correlation_id": "undo-monday"})
    assert not line(LOAD).concerns({"load_id": 8})
    assert not line(START).concerns({"load_id": 7})
    assert pattern({"load_id": 7, "correlation_id": 'a"b'}) == '{ $.load_id = 7 || $.correlation_id = "a\\"b" }'


@given(st.lists(st.integers(0, 50)))
def test_lines_are_ordered_by_the_time_they_were_written(moments: list[int]) -> None:
    lines = [Line(f"{moment:02}", "f", str(number), None) for number, moment in enumerate(moments)]
    assert list(in_order(lines)) == sorted(lines)


def test_at_most_a_window_of_lines_is_held_back() -> None:
    taken = []

    def lines() -> Iterator[Line]:
        for number in (3, 1, 2, 4, 5, 6):
            taken.append(number)
            yield Line(str(number), "f", "", None)

    ordered = in_order(lines(), window=2)
    assert next(ordered).at == "1"
    assert taken == [3, 1, 2]
    assert [found.at for found in ordered] == ["2", "3", "4", "5", "6"]


class NotFound(Exception):
    pass


class Cloudwatch:
    """Takes the place of CloudWatch Logs. A test adds events, and `filter_log_events` returns them in pages of `size`
    events."""

    class exceptions:  # noqa: N801
        ResourceNotFoundException = NotFound

    def __init__(self, size: int = 2, **events: list[tuple[int, str]]) -> None:
        self.size, self.calls = size, 0
        self.events = {group: [self.event(*found) for found in given] for group, given in events.items()}

    def event(self, timestamp: int, message: str) -> dict[str, Any]:
        return {"eventId": f"{timestamp}-{message}", "timestamp": timestamp, "message": message, "logStreamName": "s"}

    def filter_log_events(self, logGroupName: str, startTime: int, nextToken: str = "0", **_: Any) -> Any:  # noqa: N803
        self.calls += 1
        if logGroupName not in self.events:
            raise NotFound
        found = sorted(self.events[logGroupName], key=lambda event: event["timestamp"])
        found = [event for event in found if event["timestamp"] >= startTime]
        begin = int(nextToken)
        more = {"nextToken": str(begin + self.size)} if begin + self.size < len(found) else {}
        return {"events": found[begin : begin + self.size], **more}


def read(client: Cloudwatch) -> Logs:
    return Logs(client, {"api": "a", "ingest": "i", "sweep": "never called"})


def test_lines_of_all_groups_are_merged_by_time() -> None:
    client = Cloudwatch(a=[(n, f"a{n}") for n in (1, 3, 5, 7)], i=[(n, f"i{n}") for n in (2, 4, 6)])
    found = [(line.function, line.text) for line in read(client).since(2)]
    assert found == [("ingest", "i2"), ("api", "a3"), ("ingest", "i4"), ("api", "a5"), ("ingest", "i6"), ("api", "a7")]


def test_pages_are_fetched_only_when_they_are_needed() -> None:
    client = Cloudwatch(a=[(n, str(n)) for n in range(1000)])
    list(islice(read(client).since(0), 3))
    assert client.calls <= 5


def test_following_yields_every_line_once_including_late_ones() -> None:
    client = Cloudwatch(a=[(100_000, "first"), (100_001, "second")])
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            client.events["a"] += [client.event(99_999, "late"), client.event(300_000, "third")]

    parts = islice(read(client).follow(0, wait), 3)
    assert [[line.text for line in part] for part in parts] == [["first", "second"], ["late", "third"], []]
    assert len(waits) == 2


def test_ids_of_old_events_are_forgotten() -> None:
    client = Cloudwatch(a=[(n * 1000, str(n)) for n in range(1000)])
    logs = read(client)
    list(logs.since(0))
    assert len(logs._seen["a"]) < 100


def test_log_groups_have_the_names_that_lambda_gives_them() -> None:
    found = groups("prod", None)
    assert found["api"] == "/aws/lambda/hireflow-prod"
    assert found["ingest"] == "/aws/lambda/hireflow-prod-ingest"
    assert groups("prod", "api") == {"api": "/aws/lambda/hireflow-prod"}
    with pytest.raises(Misuse, match="one of api, ingest, backup"):
        groups("prod", "nothing")


def test_a_failure_to_read_logs_is_one_line() -> None:
    from botocore.exceptions import EndpointConnectionError

    class Away(Cloudwatch):
        def filter_log_events(self, *_: Any, **__: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="http://aws")

    with pytest.raises(CommandError, match="the logs cannot be read: Could not connect"):
        list(read(Away()).since(0))


def test_a_foreign_program_at_the_address_of_aws_is_recognized() -> None:
    from botocore.exceptions import ClientError

    class Foreign(Cloudwatch):
        def filter_log_events(self, *_: Any, **__: Any) -> Any:
            raise ClientError({"Error": {"Code": "501", "Message": "<html>\n"}}, "FilterLogEvents")

    message = r"the response \(501\) is not from AWS: does another program listen at AWS_ENDPOINT_URL\?$"
    with pytest.raises(CommandError, match=message):
        list(read(Foreign()).since(0))


def test_a_line_without_its_own_time_has_the_time_of_its_event() -> None:
    at = datetime(2021, 7, 27, 16, 2, 8, 5000, UTC)
    assert Line.of("api", int(at.timestamp() * 1000), "x\n") == Line("2021-07-27T16:02:08.005Z", "api", "x", None)
