"""The commands loads, load and rejects, which show the outcomes of files, requests and restores."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from cli import summary
from cli.moments import age
from cli.options import MAX_PAGE, Dataset, Json, LoadId, beginning
from cli.statuses import STATUSES
from cli.tables import Cell
from cli.tools import Tools

_STATES = (("resolved", "resolved since"), ("waiting", "still waiting for their departments or jobs"))
_NEXT = re.compile(r"[?&]cursor=(\d+)")  # the cursor in the link to the next part of a CSV file
_INCOMPLETE = (
    "note: this file does not have all rejected rows: some were only counted (REJECT_LIMIT), are too large, or stand"
    " very far down in the reject file (--ndjson prints the whole of it)"
)
_COLUMNS = ("load", "status", "dataset", "age", "received", "rejected", "waiting", "file")


def _status(value: str | None) -> str | None:
    if value is not None and value not in STATUSES:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(STATUSES)}")
    return value


def _statuses_beginning(incomplete: str) -> list[str]:
    return beginning(incomplete, STATUSES)


def loads(
    context: typer.Context,
    dataset: Dataset = None,
    status: Annotated[
        str | None,
        typer.Option(
            callback=_status,
            metavar="STATUS",
            show_default=False,
            autocompletion=_statuses_beginning,
            help=f"Only loads with this status: {', '.join(STATUSES)}.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show at most N loads.")] = 20,
    as_json: Json = False,
) -> None:
    """List loads, newest first."""
    tools = Tools.of(context)
    found: list[dict[str, Any]] = []
    cursor = None
    while len(found) < limit:
        size = min(limit - len(found), MAX_PAGE)
        page = tools.api.get("/loads", dataset=dataset, status=status, limit=size, cursor=cursor)
        found += page["loads"]
        if (cursor := page["next_cursor"]) is None:
            break
    if as_json:
        tools.out.json(found)
    elif found:
        tools.out.table(_COLUMNS, [_row(load) for load in found], ["file"])
    else:
        tools.notes.line("no loads")


def load(context: typer.Context, load_id: LoadId, as_json: Json = False) -> None:
    """Show all details of a load."""
    tools = Tools.of(context)
    found = tools.api.get(f"/loads/{load_id}")
    if as_json:
        tools.out.json(found)
    else:
        tools.out.facts({name: _fact(value) for name, value in found.items()})


def rejects(
    context: typer.Context,
    load_id: LoadId,
    everything: Annotated[bool, typer.Option("--all", help="Show resolved rejects as well.")] = False,
    code: Annotated[
        str | None,
        typer.Option(metavar="CODE", show_default=False, help="Show only rejects with this code, for example missing."),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the rejects as a CSV file that you can correct.")
    ] = False,
    as_file: Annotated[bool, typer.Option("--ndjson", help="Print the whole reject file (NDJSON).")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, metavar="N", help="Show at most N records.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the open rejects of a load, and their reasons.

    A reject is open until a later load has loaded a valid row with the same id. To correct rejects, print them with
    --csv, correct the values in this file, and send the file with `upload --corrects LOAD`.
    """
    tools = Tools.of(context)
    address, chosen = f"/loads/{load_id}/rejects", {"all": "true" if everything else None, "code": code}
    if as_csv:
        for part in _csv_parts(tools, address, chosen):
            tools.out.raw(part)
        return
    found = tools.api.get(address, limit=1 if as_file else limit, **chosen)
    if as_file:
        if found["url"]:
            with tools.presigned.download(found["url"]) as chunks:
                for chunk in chunks:
                    tools.out.raw(chunk)
        return
    if as_json:
        tools.out.json(found)
        return
    parts = [f"{found[name]:,} of them {what}" for name, what in _STATES if found.get(name)]
    tools.out.line(", ".join([f"load {load_id}: {found['rejected']:,} rejected", *parts]))
    summary.rejects(tools.out, found)


def _csv_parts(tools: Tools, address: str, chosen: Mapping[str, str | None]) -> Iterator[bytes]:
    """Yield the parts in which the API returns a CSV file of rejects. The API repeats the header in each part, so the
    header is removed from all parts but the first."""
    following: str | None = None
    is_complete = True
    while True:
        query = {**chosen, "cursor": following}
        response = tools.api.send("GET", address, query, headers={"Accept": "text/csv"})
        is_complete = is_complete and not response.headers.get("X-Truncated")
        yield response.body if following is None else response.body.partition(b"\r\n")[2]
        link = _NEXT.search(response.headers.get("Link", ""))
        if link is None:
            break
        following = link[1]
    if not is_complete:
        tools.notes.line(_INCOMPLETE)


def file_name(source: str) -> str:
    """Return the file name of an S3 address. Another source, such as "POST /job/upload", is returned unchanged."""
    return source.rpartition("/")[2] if source.startswith("s3://") else source


def _row(found: dict[str, Any]) -> list[Cell]:
    shown = {**found, "load": found["id"], "age": age(found["created_at"]), "file": file_name(found["source"])}
    return [shown.get(column) for column in _COLUMNS]


def _fact(value: Any) -> Cell:
    if isinstance(value, list):  # notices, or reasons with their counts; an empty list has no fact to show
        return "; ".join(e if isinstance(e, str) else f"{e['count']} × {e['reason']}" for e in value) or None
    if isinstance(value, dict):
        return summary.format_of(value)
    return value if isinstance(value, str | int | float) else None
