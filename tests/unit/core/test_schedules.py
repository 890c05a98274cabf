"""Tests the texts that state an interval but cannot use the constants of the schedules. Each of these texts has to
state the right interval."""

import json
import re
from datetime import timedelta

import pytest

from chalicelib.core.schedules import BACKUP_MINUTES, SWEEP_MINUTES, VERIFY_DAYS, minutes_in_words
from chalicelib.recovery.landing_sweep import AFTER_RESTART, LONGEST, OFFERED_WITHIN, OUTAGE, PATIENCE, PERIODIC
from infra.venv import ROOT
from tests.templates import parsed

BACKUP, SWEEP = minutes_in_words(BACKUP_MINUTES), minutes_in_words(SWEEP_MINUTES)
VERIFICATION = "once a day" if VERIFY_DAYS == 1 else f"every {VERIFY_DAYS} days"
SENTENCES = {
    "README.md": [
        f"backups every {BACKUP}, and reports",
        f"A backup is made every {BACKUP} if anything has changed",
        f"The newest restore point is read again and verified {VERIFICATION}.",
    ],
    "docs/api.md": [
        f"# now, instead of in {BACKUP};",
        f"The newest restore point is verified {VERIFICATION}.",
    ],
    "docs/monitoring.md": [f"are measured every {SWEEP} |"],
    "docs/operations.md": [
        f"The next backup begins in {BACKUP}.",
        f"a sweep offers the load again after {minutes_in_words(PATIENCE.idle // timedelta(minutes=1))}.",
        f"So every {SWEEP} a sweep compares the landing bucket",
        "This happens within 15 minutes if the bucket holds at most 100,000 versions.",
        f"One sweep compares at most {1000 * PERIODIC.pages:,} of them.",
        f"If no sweep ran for {minutes_in_words(OUTAGE // timedelta(minutes=1))}",
    ],
    "docs/scaling.md": [f"at most {PERIODIC.pages} requests every {SWEEP}"],
    "infra/aws/templates/database.yaml": [f"a backup queries it every {BACKUP}"],
}


@pytest.mark.parametrize("file", SENTENCES)
def test_documents_and_templates_state_the_intervals(file: str) -> None:
    text = re.sub(r"\s+", " ", (ROOT / file).read_text())
    assert [sentence for sentence in SENTENCES[file] if sentence not in text] == []
    said = re.findall(rf"(?:every|in) (?:{BACKUP}|{SWEEP})", text, re.IGNORECASE)
    listed = re.findall(rf"(?:every|in) (?:{BACKUP}|{SWEEP})", " ".join(SENTENCES[file]), re.IGNORECASE)
    assert len(said) == len(listed), "the list of sentences in this test is incomplete"


def test_a_lost_event_is_noticed_as_soon_as_the_page_about_operations_says() -> None:
    assert timedelta(minutes=14) == OFFERED_WITHIN <= timedelta(minutes=15)


def test_a_sweep_ends_before_the_timeout_of_its_function() -> None:
    """A sweep that Lambda kills loses its position in the bucket. The timeout does not depend on the interval of the
    sweep."""
    functions = json.loads((ROOT / ".chalice/config.json").read_text())["lambda_functions"]
    assert PERIODIC.seconds <= LONGEST
    assert AFTER_RESTART.seconds <= LONGEST
    assert functions["sweep"]["lambda_timeout"] - LONGEST >= 60


def test_a_single_failed_sweep_is_not_an_outage() -> None:
    assert timedelta(minutes=2 * SWEEP_MINUTES) < OUTAGE


def test_an_alarm_waits_for_more_than_one_backup() -> None:
    lag = parsed("operations")["Parameters"]["BackupLag"]
    assert lag["Description"].endswith(f"A backup runs every {60 * BACKUP_MINUTES} seconds")
    assert 120 * BACKUP_MINUTES == lag["MinValue"] < lag["Default"]
    in_docs = f"| `BackupLag` above {lag['Default'] // 60} minutes |"
    assert in_docs in (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize(("count", "words"), [(1, "one minute"), (3, "three minutes"), (15, "15 minutes")])
def test_numbers_up_to_twelve_are_written_in_words(count: int, words: str) -> None:
    assert minutes_in_words(count) == words
