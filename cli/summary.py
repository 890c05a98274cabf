"""Prints summaries of loads and of checks: their counts and rejects."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.errors import CommandError
from cli.output import Output
from cli.tools import Tools

COUNTS = ("inserted", "updated", "unchanged", "superseded", "rejected")
FEW = 5  # rejects that are shown at the end of a load
_LONGEST = 200  # characters of a rejected record


def ended(tools: Tools, name: str, load: Mapping[str, Any]) -> None:
    """Print a load that has ended: its status, its counts, and its first rejects."""
    error_text = f": {load['error']}" if load["error"] else ""
    tools.out.line(f"{name}: load {load['id']} {load['status']}{error_text}")
    if load["received"]:
        tools.out.line(f"  {counts(load)}")
    if load["rejected"]:
        try:
            rejects(tools.out, tools.api.get(f"/loads/{load['id']}/rejects", limit=FEW))
        except CommandError as error:  # this error changes no load, and other loads may follow
            tools.notes.line(f"error: the rejects of load {load['id']} cannot be shown: {error}")
        if load["rejected"] > FEW:
            tools.out.line(f"to see all rejects: hireflow rejects {load['id']} --all")


def counts(found: Mapping[str, Any]) -> str:
    """Return the counts in one line. `resolved` counts the rejects whose rows were loaded later."""
    listed = ", ".join(f"{found[name]:,} {name}" for name in COUNTS)
    resolved = f" ({found['resolved']:,} resolved)" if found.get("resolved") else ""
    return f"{found['received']:,} received: {listed}{resolved}"


def rejects(out: Output, found: Mapping[str, Any]) -> None:
    """Print the reasons with their counts, then the rejected records that the response holds."""
    reasons: Sequence[Mapping[str, Any]] = found["reasons"] or ()
    if reasons:
        out.line()
        out.table(("rows", "reason"), [(entry["count"], entry["reason"]) for entry in reasons], ["reason"])
    if found["rejects"]:
        out.line()
        place = "index" if "index" in found["rejects"][0] else "line"
        rows = [(reject.get(place), "; ".join(reject["reasons"]), _record(reject)) for reject in found["rejects"]]
        out.table((place, "reasons", "record"), rows, ["reasons", "record"])
    if found.get("truncated"):
        out.line("more rejects exist, but they are too large to be shown here")


def open_rejects(load: Mapping[str, Any]) -> int:
    """Return the number of rejects that are not resolved."""
    return int(load["rejected"]) - int(load.get("resolved") or 0)


def _record(reject: Mapping[str, Any]) -> str:
    raw = str(reject.get("raw") or "").rstrip("\r\n")
    return raw if len(raw) <= _LONGEST else f"{raw[: _LONGEST - 1]}…"
