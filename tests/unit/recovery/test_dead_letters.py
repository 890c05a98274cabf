"""Tests which messages are accepted as records of failed S3 events."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import Unprocessable
from chalicelib.recovery.dead_letters import DeadLetter

INGEST = "arn:aws:lambda:us-east-1:000000000000:function:hireflow-local-ingest:$LATEST"
OBJECT = {"key": "folder/jobs+new.csv", "versionId": "v1", "eTag": "0f", "sequencer": "0A"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def event(**changes: Any) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "landing"}, "object": {**OBJECT, **changes}}}]}


def message(payload: Any, function: Any = INGEST) -> str:
    return json.dumps({"requestContext": {"functionArn": function}, "requestPayload": payload})


def test_the_record_of_a_failed_event_is_parsed() -> None:
    letter = DeadLetter.parse(message(event()))
    assert (letter.function, letter.event) == (INGEST, event())
    [created] = letter.objects
    assert (created.source, created.version) == ("s3://landing/folder/jobs new.csv", "v1")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "null",
        "[]",
        '"text"',
        "{}",
        json.dumps(event()),  # an event alone, which is not the record of a failure
        message(None),
        message({"Records": []}),
        message({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
        message({"detail-type": "Scheduled Event"}),
        message(event(key="folder/")),
        message(event(key=5)),
        message(event(key="jobs\0.csv")),
        message(event(key="jobs\ud800.csv")),
        message(event(versionId=7)),
        message(event(versionId=["v"])),
        message(event(sequencer={})),
        message(event(), function=""),
        message(event(), function=None),
        "[" * 100_000,
    ],
)
def test_any_other_message_is_refused(body: str) -> None:
    with pytest.raises(Unprocessable):
        DeadLetter.parse(body)


@given(JSON, st.sampled_from(["", "requestPayload", "Records", "s3", "object", "key", "versionId"]))
def test_every_message_is_parsed_or_refused(value: Any, where: str) -> None:
    """The test replaces the parts `where` of a valid record by `value`."""
    record = json.loads(message(event()))

    def replaced(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: value if name == where else replaced(inner) for name, inner in part.items()}
        return [replaced(inner) for inner in part] if isinstance(part, list) else part

    try:
        letter = DeadLetter.parse(json.dumps(replaced(record) if where else value))
    except Unprocessable:
        return
    assert letter.objects
    for created in letter.objects:
        assert all(part is None or "\0" not in part for part in vars(created).values())
