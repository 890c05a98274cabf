"""loads, load and rejects: what became of files, requests and restores."""

from typing import Annotated, Any

import typer

from cli.moments import age
from cli.options import MAX_PAGE, Dataset, Json, LoadId, beginning
from cli.statuses import STATUSES
from cli.tables import Cell
from cli.tools import Tools

_COLUMNS = ("load", "status", "dataset", "age", "received", "rejected", "file")


def _status(value: str | None) -> str | None:
    if value is not None and value not in STATUSES:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(STATUSES)}")
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
            help=f"One of {', '.join(STATUSES)}.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many to show at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List loads, the newest first."""
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
    """Show a load in full."""
    tools = Tools.of(context)
    found = tools.api.get(f"/loads/{load_id}")
    if as_json:
        tools.out.json(found)
    else:
        tools.out.facts({name: _fact(value) for name, value in found.items()})


def rejects(
    context: typer.Context,
    load_id: LoadId,
    everything: Annotated[bool, typer.Option("--all", help="Print all of them as NDJSON, as they are stored.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, metavar="N", help="How many records to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the rejected rows of a load and their reasons."""
    from cli import summary

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
    told = f", {found['resolved']:,} of them resolved since" if found["resolved"] else ""
    tools.out.line(f"load {load_id}: {found['rejected']:,} rejected{told}")
    summary.rejects(tools.out, found)


def file_name(source: str) -> str:
    """The name of the file that a load is of; what a request says of itself stays as it is."""
    return source.rpartition("/")[2] if source.startswith("s3://") else source


def _row(found: dict[str, Any]) -> list[Cell]:
    shown = {**found, "load": found["id"], "age": age(found["created_at"]), "file": file_name(found["source"])}
    return [shown[column] for column in _COLUMNS]


def _fact(value: Any) -> Cell:
    if isinstance(value, list):  # the reasons
        return "; ".join(f"{entry['count']} × {entry['reason']}" for entry in value)
    return value if isinstance(value, str | int | float) else None
