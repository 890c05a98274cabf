"""backup, backups and restore."""

import sys
import time
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from chalicelib import instants
from chalicelib.datasets import DATASETS, by_route
from infra.cli import files, summary
from infra.cli.commands.history import age
from infra.cli.errors import Misuse
from infra.cli.follow import follow
from infra.cli.options import Json
from infra.cli.tools import Tools
from infra.errors import CloudError

_PAGE = 100
_EVERYTHING = "all"
_PATIENCE = 60  # tries, a second apart


def _datasets(names: list[str]) -> list[str]:
    """The datasets, each once, parents before what refers to them."""
    if _EVERYTHING in names:
        return list(DATASETS)
    found = {dataset.name for name in names if (dataset := by_route(name))}
    unknown = [name for name in names if by_route(name) is None]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(DATASETS)}, {_EVERYTHING}")
    return sorted(found, key=lambda name: (files.generation(name), list(DATASETS).index(name)))


def backup(context: typer.Context) -> None:
    """Back up now, and print the restore point; an older one where nothing has changed since."""
    tools = Tools.of(context)
    for _ in range(_PATIENCE):
        if point := tools.invoke("backup")["restore_point"]:
            tools.out.line(point)
            return
        time.sleep(1)  # the schedule is at it just now
    raise CloudError("another backup is under way and does not end: try again")


def backups(
    context: typer.Context,
    limit: int = typer.Option(20, min=1, max=_PAGE, help="How many to show at most."),
    as_json: Json = False,
) -> None:
    """List the restore points, the newest first."""
    tools = Tools.of(context)
    found = tools.api.get("/backups", limit=limit)["backups"]
    if as_json:
        tools.out.json(found)
    elif found:
        tools.out.table(("restore point", "age", "verified", *DATASETS, "bytes"), [_row(entry) for entry in found])
    else:
        tools.notes.line("no backups yet")


def restore(
    context: typer.Context,
    datasets: Annotated[
        list[str],
        typer.Argument(callback=_datasets, metavar=f"{'|'.join(DATASETS)}|{_EVERYTHING}…", show_default=False),
    ],
    point: Annotated[str | None, typer.Option(help="This restore point instead of the newest one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Restore datasets from a backup, parents first, and follow the loads."""
    tools = Tools.of(context)
    chosen = _chosen(tools, point)
    _tell(tools, chosen, datasets)
    if not yes:
        _confirm()
    for name in datasets:  # one after the other: rows whose parent is not there yet would be rejected
        order = tools.api.post(f"/{name}/backup/restore", {"restore_point": chosen["restore_point"]})
        load = follow(tools.api, tools.notes, {name: order["status_url"]})[name]
        summary.ended(tools, name, load)
        if load["status"] != "succeeded":
            raise CloudError(f"the restore of {name} {load['status']}; what comes after it was not ordered")


def _chosen(tools: Tools, point: str | None) -> dict[str, Any]:
    """A restore point as the API lists it: the newest, or the one of that name."""
    if point is None:
        found = tools.api.get("/backups", limit=1)["backups"]
        if not found:
            raise CloudError("there is no backup yet")
    else:
        found = tools.api.get("/backups", limit=1, cursor=_after(point))["backups"]
        if not found or found[0]["restore_point"] != point:
            raise CloudError(f"there is no restore point {point}")
    return dict(found[0])


def _after(point: str) -> str:
    """The name that is the first later one: what is listed before it begins with `point`."""
    try:
        at = datetime.strptime(f"{point} +0000", f"{instants.NAME} %z")
        return instants.name(at + timedelta(microseconds=1))
    except (ValueError, OverflowError):
        raise Misuse(f"a restore point is named like 20210727T160208.123456Z, not {point}") from None


def _tell(tools: Tools, chosen: dict[str, Any], datasets: list[str]) -> None:
    tables = chosen["tables"]
    missing = [name for name in datasets if name not in tables]
    if missing:
        raise CloudError(f"restore point {chosen['restore_point']} does not hold {missing[0]}")
    rows = ", ".join(f"{name} ({tables[name]['rows']:,} rows)" for name in datasets)
    tools.out.line(f"Restore point {chosen['restore_point']}, {age(chosen['created_at'])} old: {rows}")
    tools.out.line("  Rows deleted since come back, rows changed since go back, rows added since stay.")
    parents = {parent for name in datasets for _, parent in DATASETS[name].references} - set(datasets)
    if parents:
        tools.out.line(f"  Rows that refer to {' or '.join(sorted(parents))} that are gone are rejected.")


def _confirm() -> None:
    """Raises Misuse where there is nobody to ask, CloudError where the answer is no."""
    if not sys.stdin.isatty():
        raise Misuse("nobody is there to ask: say --yes to restore without a question")
    sys.stderr.write("Restore this? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CloudError("nothing was restored")


def _row(entry: dict[str, Any]) -> list[str | int]:
    tables = entry["tables"]
    verified = age(entry.get("verified_at"))
    rows = [tables.get(name, {}).get("rows", 0) for name in DATASETS]
    total = sum(table["bytes"] for table in tables.values())
    return [entry["restore_point"], age(entry["created_at"]), verified and f"{verified} ago", *rows, total]
