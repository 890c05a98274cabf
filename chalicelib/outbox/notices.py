"""Writes the texts of notices. People get notices by email, or through another subscription of the topic.

The name of a file may contain any character. In a notice, a question mark replaces every character that could break a
line or hide text.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.outbox.late_backups import LATE

LOAD_FAILED, ROWS_REJECTED = "load_failed", "rows_rejected"
BACKUPS_LATE, BACKUPS_IN_TIME = "backups_late", "backups_in_time"
LONGEST_SUBJECT = 99  # SNS accepts fewer than 100 characters
_MOST_REASONS = 5
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # Unicode categories of the characters that are replaced
Detail = Mapping[str, Any]


@dataclass(frozen=True)
class Notice:
    """A notice. `kind` is one of the constants of this module, and becomes a message attribute."""

    kind: str
    subject: str
    text: str


def of_load(detail: Detail, stage: str, percent: float) -> Notice | None:
    """Return the notice about a load that has ended, or None if the load needs no notice.

    A load needs a notice if it failed, or if more than `percent` of its rows were rejected. Rows that wait for their
    parents do not count. A request needs no notice about rejected rows, because its sender has the response.
    """
    to_correct = detail["rejected"] - detail["waiting"]
    if detail["status"] == "failed":
        kind, what = LOAD_FAILED, f"load {detail['load_id']} failed"
        first = "A load has failed. None of its rows were stored."
    elif detail["kind"] != "api" and to_correct * 100 > detail["received"] * percent:
        kind, what = ROWS_REJECTED, f"load {detail['load_id']} rejected {to_correct} of {detail['received']} rows"
        first = f"A load has rejected {to_correct} of {detail['received']} rows. The other rows were stored."
    else:
        return None
    lines = [first, "", *_about(detail), "", f"What to do: {_advice(detail, kind)}", *_links(detail)]
    return Notice(kind, subject(f"Hireflow {stage}: {what}: {_name(detail)}"), "\n".join(lines) + "\n")


def of_backups(body: Mapping[str, Any], stage: str) -> Notice:
    """Return the notice that backups are late, or that they are in time again."""
    lag = body["lag_seconds"]
    if body["state"] != LATE:
        text = f"Backups are in time again. They had been late since {body['since']}. You need not do anything.\n"
        return Notice(BACKUPS_IN_TIME, subject(f"Hireflow {stage}: backups are in time again"), text)
    state = (
        "The age of the newest restore point is not known:"
        " there is no restore point yet, or the backup bucket cannot be read."
        if lag is None
        else f"Changes of the last {lag / 60:.0f} minutes are in no restore point."
    )
    advice = "Read the log of the function `backup`: ./hireflow logs --function backup --since 1h"
    text = f"Backups have been late since {body['since']}. {state}\n\nWhat to do: {advice}\n"
    return Notice(BACKUPS_LATE, subject(f"Hireflow {stage}: backups are late"), text)


def subject(text: str) -> str:
    """Return a text that SNS accepts as a subject: ASCII without control characters, and not too long."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text)
    return plain if len(plain) <= LONGEST_SUBJECT else f"{plain[: LONGEST_SUBJECT - 3]}..."


def shown(text: str) -> str:
    """Return the text in one line. A question mark replaces each character that hides or reorders text."""
    return "".join("?" if unicodedata.category(char) in _HIDDEN else char for char in text)


def _about(detail: Detail) -> list[str]:
    folder, slash, name = str(detail["source"]).rpartition("/")
    lines = [f"File: {shown(name)}", f"Folder: {shown(folder)}{slash}"] if slash else [f"Source: {shown(name)}"]
    lines.append(f"Dataset: {shown(detail['dataset'] or 'unknown')}")
    if detail["error"]:
        lines.append(f"Reason: {shown(detail['error'])}")
    if detail["reasons"]:
        lines.append("Reasons of rejected rows:")
        lines += [f"- {reason['count']} x {shown(reason['reason'])}" for reason in detail["reasons"][:_MOST_REASONS]]
    if detail["waiting"]:
        lines.append(f"Rows that wait for their department or job: {detail['waiting']}")
    return lines


def _advice(detail: Detail, kind: str) -> str:
    if detail["given_up"]:
        return "do not send the file again. An operator removes the cause, and then runs `make redrive`."
    if kind == ROWS_REJECTED:
        return "download the rejected rows with their reasons, correct them, and send only these rows again."
    if detail["kind"] == "restore":
        return "remove the cause, and request the restore again."
    return "remove the cause, and send the file again."


def _links(detail: Detail) -> list[str]:
    page, load = detail["links"]["page"], detail["links"]["load"]
    return [f"See: {page}", f"For programs: {load}"] if page else [f"Load: {detail['load_id']}"]


def _name(detail: Detail) -> str:
    return str(detail["source"]).rpartition("/")[2]
