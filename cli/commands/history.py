"""The commands loads, load and rejects: the outcomes of files, requests and restores."""

from typing import Annotated, Any

import typer

from cli import summary
from cli.moments import age
from cli.options import MAX_PAGE, Dataset, Json, LoadId, beginning
from cli.statuses import STATUSES
from cli.tables import Cell
from cli.tools import Tools

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
    everything: Annotated[bool, typer.Option("--all", help="Print the whole reject file (NDJSON).")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, metavar="N", help="Show at most N records.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the rejected records of a load and their reasons."""
    tools = Tools.of(context)
    found = tools.api.get(f"/loads/{load_id}/rejects", limit=1 if everything else limit)
    if everything:
        if found["url"]:
            with tools.presigned.download(found["url"]) as chunks:
                for chunk in chunks:
                    tools.out.raw(chunk)
        return
    if as_json:
        tools.out.json(found)
        return
    resolved = f", {found['resolved']:,} of them resolved since" if found["resolved"] else ""
    tools.out.line(f"load {load_id}: {found['rejected']:,} rejected{resolved}")
    summary.rejects(tools.out, found)


def file_name(source: str) -> str:
    """Return the file name of an S3 address. Another source, such as "POST /job/upload", is returned unchanged."""
    return source.rpartition("/")[2] if source.startswith("s3://") else source


def _row(found: dict[str, Any]) -> list[Cell]:
    shown = {**found, "load": found["id"], "age": age(found["created_at"]), "file": file_name(found["source"])}
    return [shown.get(column) for column in _COLUMNS]


def _fact(value: Any) -> Cell:
    if isinstance(value, list):  # notices, or reasons with their counts
        return "; ".join(e if isinstance(e, str) else f"{e['count']} × {e['reason']}" for e in value) or None
    if isinstance(value, dict):
        return summary.format_of(value)
    return value if isinstance(value, str | int | float) else None
