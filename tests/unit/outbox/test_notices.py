"""Tests which loads get a notice, and what the text of a notice says. The names of files may contain any character."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.outbox import notices
from chalicelib.outbox.notices import LOAD_FAILED, ROWS_REJECTED, Notice

DETAIL: dict[str, Any] = {
    "load_id": 7,
    "dataset": "jobs",
    "source": "s3://landing/hr/berlin/jobs_2021.csv",
    "kind": "csv",
    "status": "succeeded",
    "received": 100,
    "rejected": 0,
    "waiting": 0,
    "error": None,
    "given_up": False,
    "reasons": [],
    "links": {"load": "https://x/api/loads/7", "rejects": None, "page": "https://x/api/#/load?id=7"},
}


def of(percent: float = 10, **changed: Any) -> Notice | None:
    return notices.of_load({**DETAIL, **changed}, "prod", percent)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, None),
        ({"status": "skipped"}, None),
        ({"status": "failed"}, LOAD_FAILED),
        ({"status": "failed", "kind": "restore"}, LOAD_FAILED),
        ({"rejected": 10}, None),
        ({"rejected": 11}, ROWS_REJECTED),
        ({"rejected": 11, "waiting": 1}, None),  # a row that waits for its department may still be loaded
        ({"rejected": 11, "kind": "api"}, None),  # the sender has already got the response
        ({"rejected": 100, "percent": 100}, None),
        ({"rejected": 0, "received": 0}, None),
    ],
)
def test_a_load_gets_a_notice_if_it_failed_or_rejected_too_many_rows(changed: dict[str, Any], kind: str | None) -> None:
    notice = of(**changed)
    assert (notice.kind if notice else None) == kind


def test_a_notice_says_which_file_failed_why_and_what_to_do() -> None:
    reasons = [{"reason": "job is missing", "code": "missing", "count": 12}]
    notice = of(rejected=12, reasons=reasons)
    assert notice == Notice(
        ROWS_REJECTED,
        "Hireflow prod: load 7 rejected 12 of 100 rows: jobs_2021.csv",
        "A load has rejected 12 of 100 rows. The other rows were stored.\n\n"
        "File: jobs_2021.csv\nFolder: s3://landing/hr/berlin/\nDataset: jobs\n"
        "Reasons of rejected rows:\n- 12 x job is missing\n\n"
        "What to do: download the rejected rows with their reasons, correct them, and send only these rows again.\n"
        "See: https://x/api/#/load?id=7\nFor programs: https://x/api/loads/7\n",
    )


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"given_up": True}, "do not send the file again. An operator"),
        ({"kind": "restore"}, "request the restore again"),
        ({}, "send the file again"),
    ],
)
def test_the_notice_of_a_failed_load_says_who_has_to_do_what(changed: dict[str, Any], advice: str) -> None:
    notice = of(status="failed", error="no row could be loaded", **changed)
    assert notice is not None
    assert "Reason: no row could be loaded\n" in notice.text
    assert advice in notice.text


@given(st.text(), st.text())
def test_no_file_name_breaks_a_line_or_the_rules_of_sns(name: str, error: str) -> None:
    notice = of(status="failed", source=f"s3://landing/{name}", error=error)
    assert notice is not None
    assert 0 < len(notice.subject) < 100
    assert all(" " <= char <= "~" for char in notice.subject)
    hidden = {char for char in notice.text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert hidden <= {"\n"}
    assert notice.text.count("\n") == 9 + bool(error)
    notice.text.encode()


def test_a_stage_without_a_known_address_has_notices_without_links() -> None:
    notice = of(status="failed", links=dict.fromkeys(("load", "rejects", "page")))
    assert notice is not None
    assert notice.text.endswith("Load: 7\n")


def test_notices_about_backups_say_since_when() -> None:
    body = {"state": "late", "since": "2021-07-27T16:02:08.123456Z", "lag_seconds": 1260.0}
    late = notices.of_backups(body, "prod")
    assert (late.kind, late.subject) == ("backups_late", "Hireflow prod: backups are late")
    assert "Changes of the last 21 minutes are in no restore point." in late.text
    assert "cannot be read" in notices.of_backups({**body, "lag_seconds": None}, "prod").text
    well = notices.of_backups({**body, "state": "in time", "lag_seconds": 0.0}, "prod")
    assert (well.kind, "2021-07-27T16:02" in well.text) == ("backups_in_time", True)
