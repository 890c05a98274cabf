"""Tests that the documentation describes exactly the members of an event, and that the example in the documentation is
valid."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from chalicelib.loads.outcomes import FINAL, KINDS
from chalicelib.outbox import load_events, notices
from infra.venv import ROOT
from tests import pages

MONITORING = "docs/monitoring.md"
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(\{.*\})\n```", (ROOT / MONITORING).read_text())]


def faults(detail: Any) -> list[str]:
    validator = Draft202012Validator(load_events.schema(), format_checker=FormatChecker())
    return [error.message for error in validator.iter_errors(detail)]


def test_every_member_of_an_event_is_described() -> None:
    described = [name for row in pages.table(MONITORING, "member of an event") for name in pages.names(row[0])]
    assert sorted(described) == sorted(load_events.schema()["properties"])


def test_the_examples_are_an_event_and_a_notice_of_the_documented_form() -> None:
    [event] = [example for example in EXAMPLES if "load_id" in example and "links" in example]
    assert faults(event) == []
    assert faults({**event, "more": 1}) != []
    [posted] = [example for example in EXAMPLES if "TopicArn" in example]
    notice = notices.of_load(event, "prod", 10)
    assert notice is not None
    assert (posted["Subject"], posted["MessageAttributes"]["kind"]["Value"]) == (notice.subject, notice.kind)
    assert notice.text.startswith(posted["Message"].removesuffix("…"))


def test_every_kind_of_a_notice_is_described() -> None:
    kinds = [notices.LOAD_FAILED, notices.ROWS_REJECTED, notices.BACKUPS_LATE, notices.BACKUPS_IN_TIME]
    assert [pages.names(row[0]) for row in pages.table(MONITORING, "kind of a notice")] == [[kind] for kind in kinds]


def test_the_schema_allows_the_statuses_and_kinds_of_loads() -> None:
    properties = load_events.schema()["properties"]
    assert (properties["status"]["enum"], properties["kind"]["enum"]) == ([*FINAL], [*KINDS])


@pytest.mark.parametrize("known", [True, False])
def test_links_are_given_only_if_the_address_of_the_api_is_known(known: bool) -> None:
    body: dict[str, Any] = {name: None for name in load_events.schema()["properties"] if name not in ("stage", "links")}
    body |= {"load_id": 7, "rejected": 0, "reasons": [{"reason": "a", "count": n} for n in range(20)]}
    detail = load_events.detail(body, "prod", "https://x/api" if known else "")
    assert detail["links"]["load"] == ("https://x/api/loads/7" if known else None)
    assert detail["links"]["rejects"] is None
    assert [reason["count"] for reason in detail["reasons"]] == list(range(19, 9, -1))
