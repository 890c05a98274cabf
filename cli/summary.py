"""What became of rows, told the same way for uploads, checks, restores and loads of long ago."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.errors import CommandError
from cli.output import Output
from cli.tools import Tools

COUNTS = ("inserted", "updated", "unchanged", "superseded", "rejected")
FEW = 5  # rejects that are shown without having been asked for
_LONGEST = 200  # characters of a rejected record


def ended(tools: Tools, name: str, load: Mapping[str, Any]) -> None:
    """A load that has ended: its counts, and the first of its rejects."""
    told = f": {load['error']}" if load["error"] else ""
    tools.out.line(f"{name}: load {load['id']} {load['status']}{told}")
    if load["received"]:
        tools.out.line(f"  {counts(load)}")
    if load["rejected"]:
        try:
            rejects(tools.out, tools.api.get(f"/loads/{load['id']}/rejects", limit=FEW))
        except CommandError as error:  # the load is as it is, and others may have to go on
            tools.notes.line(f"error: the rejects of load {load['id']} cannot be shown: {error}")
        if load["rejected"] > FEW:
            tools.out.line(f"all of them: hireflow rejects {load['id']} --all")


def counts(found: Mapping[str, Any]) -> str:
    """One line; `resolved` are rejects that a later load has made good."""
    told = ", ".join(f"{found[name]:,} {name}" for name in COUNTS)
    resolved = f" ({found['resolved']:,} resolved)" if found.get("resolved") else ""
    return f"{found['received']:,} received: {told}{resolved}"


def rejects(out: Output, found: Mapping[str, Any]) -> None:
    """The reasons by their count, and the records that are given."""
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
        out.line("more of them are too large to be shown here")


def open_rejects(load: Mapping[str, Any]) -> int:
    """Rejects that nothing has made good."""
    return int(load["rejected"]) - int(load.get("resolved") or 0)


def _record(reject: Mapping[str, Any]) -> str:
    raw = str(reject.get("raw") or "").rstrip("\r\n")
    return raw if len(raw) <= _LONGEST else f"{raw[: _LONGEST - 1]}…"
