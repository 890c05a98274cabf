"""Prints summaries of loads and of checks: their counts and rejects."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.errors import CommandError
from cli.output import Output
from cli.tools import Tools

COUNTS = ("inserted", "updated", "unchanged", "superseded", "rejected")
FEW = 5  # rejects that are shown at the end of a load
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_USUAL = (  # formats that are not printed, because most files have them
    "CSV, separated by commas, in UTF-8, with a header",
    "CSV, separated by commas, in UTF-8, without a header",
)
_TOO_LARGE = "more rejects exist, but they are too large to be shown here"
_NOT_RECORDED = (
    "not all rejected rows can be shown: they were only counted (REJECT_LIMIT), or the reject file is very long. To see"
    " the whole reject file: hireflow rejects {} --ndjson"
)
_LONGEST = 200  # characters of a rejected record


def ended(tools: Tools, name: str, load: Mapping[str, Any]) -> None:
    """Print a load that has ended: its status, its counts, and its first rejects."""
    tools.out.line(f"{name}: load {load['id']} {load['status']}{why(load)}")
    described(tools.out, load)
    if load["received"]:
        tools.out.line(f"  {counts(load)}")
    elif load["status"] == "succeeded":
        tools.out.line("  it had no rows")
    if _is_given_up(load):
        tools.out.line("  nothing was stored; an operator removes the cause, then loads the file again: make redrive")
    if load["rejected"]:
        try:
            rejects(tools.out, tools.api.get(f"/loads/{load['id']}/rejects", limit=FEW))
        except CommandError as error:  # this error changes no load, and other loads may follow
            tools.notes.line(f"error: the rejects of load {load['id']} cannot be shown: {error}")
        _next_step(tools.out, load)


def _next_step(out: Output, load: Mapping[str, Any]) -> None:
    """Print how to correct the rejects. After a failed load, the whole file has to be sent again. If all rejects wait
    or are resolved, print how to see all of them."""
    show = f"hireflow rejects {load['id']}"
    if load["status"] == "succeeded" and open_rejects(load) and load.get("dataset"):
        file = f"{load['dataset']}_rejects.csv"
        out.line(f"to correct rows: {show} --csv > {file}, then hireflow upload {file} --corrects {load['id']}")
        out.line("  (with --dates, if you gave it for this file)")
        return
    if load["status"] == "failed" and not _is_given_up(load):
        out.line("no row was stored: correct the original file, and send all of it again")
    if load["rejected"] > FEW:
        out.line(f"to see all rejects: {show}")


def _is_given_up(load: Mapping[str, Any]) -> bool:
    return str(load.get("error") or "").startswith("gave up")


def why(found: Mapping[str, Any]) -> str:
    """Return a colon and the reason why a load failed or was skipped. Return "" if the load has no error."""
    return f": {found['error']}" if found.get("error") else ""


def described(out: Output, found: Mapping[str, Any]) -> None:
    """Print the format of a file, unless it is a usual one, and the notices about the file."""
    if (file_format := found.get("format")) and (shown := format_of(file_format)) not in _USUAL:
        out.line(f"  read as {shown}")
    for notice in found.get("notices") or ():
        out.line(f"  note: {notice}")


def format_of(found: Mapping[str, Any]) -> str:
    """Return the format of a file in one line, as text."""
    parts = [str(found["type"]).upper()]
    if found["delimiter"] is not None:
        parts.append(f"separated by {_DELIMITERS.get(found['delimiter'], found['delimiter'])}")
    if found["encoding"] is not None:
        parts.append(f"in {str(found['encoding']).upper()}")
    parts.append("with a header" if found["header"] else "without a header")
    if found["ignored_columns"]:
        parts.append(f"ignored columns: {', '.join(found['ignored_columns'])}")
    return ", ".join(parts)


def counts(found: Mapping[str, Any]) -> str:
    """Return the counts in one line. Two of them are shown only if they are not 0: `waiting` counts the rejects that
    wait for their parents, and `resolved` counts the rejects whose rows a later load has loaded."""
    listed = ", ".join(f"{found[name]:,} {name}" for name in COUNTS)
    parts = [f"{found[name]:,} {name}" for name in ("waiting", "resolved") if found.get(name)]
    return f"{found['received']:,} received: {listed}{' (' + ', '.join(parts) + ')' if parts else ''}"


def rejects(out: Output, found: Mapping[str, Any]) -> None:
    """Print the reasons with their counts, then the rejected records that the response holds."""
    reasons: Sequence[Mapping[str, Any]] = found["reasons"] or ()
    if reasons:
        out.line()
        rows = [(entry["count"], entry.get("code"), entry["reason"]) for entry in reasons]
        out.table(("rows", "code", "reason"), rows, ["reason"])
    if found["rejects"]:
        out.line()
        place = "index" if "index" in found["rejects"][0] else "line"
        shown = [(reject.get(place), _reasons(reject), _record(reject)) for reject in found["rejects"]]
        out.table((place, "reasons", "record"), shown, ["reasons", "record"])
    if found.get("truncated"):
        is_last = found.get("next_cursor", "") is None
        out.line(_NOT_RECORDED.format(found["load_id"]) if is_last else _TOO_LARGE)


def open_rejects(load: Mapping[str, Any]) -> int:
    """Return the number of rejects that a user has to correct: they are not resolved, and they do not wait."""
    return int(load["rejected"]) - int(load.get("resolved") or 0) - int(load.get("waiting") or 0)


def _reasons(reject: Mapping[str, Any]) -> str:
    """Return the reasons of a reject. If nobody needs to correct it, "(waiting)" or "(resolved)" follows."""
    state = next((name for name in ("waiting", "resolved") if reject.get(name)), None)
    return "; ".join(reject["reasons"]) + (f" ({state})" if state else "")


def _record(reject: Mapping[str, Any]) -> str:
    raw = str(reject.get("raw") or "").rstrip("\r\n")
    return raw if len(raw) <= _LONGEST else f"{raw[: _LONGEST - 1]}…"
