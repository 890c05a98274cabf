"""backup, backups and restore."""

import sys
import time
from typing import Annotated, Any

import typer

from cli import files, moments
from cli.datasets import DATASETS, by_route
from cli.errors import CommandError, Misuse
from cli.moments import age
from cli.options import MAX_PAGE, Json, beginning
from cli.tables import Cell
from cli.tools import Tools

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


def _beginning(incomplete: str) -> list[str]:
    return beginning(incomplete, (*DATASETS, _EVERYTHING))


def backup(context: typer.Context) -> None:
    """Back up now, and print the restore point.

    It is an older one if nothing has changed since.
    """
    tools = Tools.of(context)
    for _ in range(_PATIENCE):
        if point := tools.invoke("backup")["restore_point"]:
            tools.out.line(point)
            return
        time.sleep(1)  # the schedule is at it just now
    raise CommandError("another backup is under way and does not end: try again")


def backups(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, metavar="N", help="How many to show at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List the restore points, the newest first."""
    tools = Tools.of(context)
    found = tools.api.get("/backups", limit=limit)["backups"]
    if as_json:
        tools.out.json(found)
    elif found:
        tools.out.table(("restore point", "age", "verified", "rows", "bytes"), [_row(entry) for entry in found])
    else:
        tools.notes.line("no backups yet")


def restore(
    context: typer.Context,
    datasets: Annotated[
        list[str],
        typer.Argument(
            callback=_datasets,
            metavar="DATASET",
            show_default=False,
            autocompletion=_beginning,
            help=f"{', '.join(DATASETS)}, or {_EVERYTHING}.",
        ),
    ],
    point: Annotated[str | None, typer.Option(metavar="NAME", help="This restore point, not the newest one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Restore datasets from a backup.

    Parents are restored first, and each load is followed to its end.
    """
    from cli import summary
    from cli.follow import follow

    tools = Tools.of(context)
    chosen = _chosen(tools, point)
    _tell(tools, chosen, datasets)
    if not yes:
        _confirm()
    for name in datasets:  # one after the other: rows whose parent is not there yet would be rejected
        order = tools.api.post(f"/{name}/backup/restore", {"restore_point": chosen["restore_point"]})
        load = dict(follow(tools.api, tools.notes, {name: order["status_url"]}))[name]
        summary.ended(tools, name, load)
        if load["status"] != "succeeded":
            raise CommandError(f"the restore of {name} {load['status']}; what comes after it was not ordered")


def _chosen(tools: Tools, point: str | None) -> dict[str, Any]:
    """A restore point as the API lists it: the newest, or the one of that name."""
    if point is None:
        found = tools.api.get("/backups", limit=1)["backups"]
        if not found:
            raise CommandError("there is no backup yet")
    else:
        found = tools.api.get("/backups", limit=1, cursor=_after(point))["backups"]
        if not found or found[0]["restore_point"] != point:
            raise CommandError(f"there is no restore point {point}")
    return dict(found[0])


def _after(point: str) -> str:
    """The name that is the first later one: what is listed before it begins with `point`."""
    try:
        return moments.next_restore_point(point)
    except (ValueError, OverflowError):
        raise Misuse(f"a restore point is named like 20210727T160208.123456Z, not {point}") from None


def _tell(tools: Tools, chosen: dict[str, Any], datasets: list[str]) -> None:
    tables = chosen["tables"]
    missing = [name for name in datasets if name not in tables]
    if missing:
        raise CommandError(f"restore point {chosen['restore_point']} does not hold {missing[0]}")
    rows = ", ".join(f"{name} ({tables[name]['rows']:,} rows)" for name in datasets)
    tools.out.line(f"Restore point {chosen['restore_point']}, {age(chosen['created_at'])} old: {rows}")
    tools.out.line("  Rows deleted since come back, rows changed since go back, rows added since stay.")
    parents = {parent for name in datasets for parent in DATASETS[name].parents} - set(datasets)
    if parents:
        tools.out.line(f"  Rows that refer to {' or '.join(sorted(parents))} that are gone are rejected.")


def _confirm() -> None:
    """Raises Misuse where there is nobody to ask, CommandError where the answer is no."""
    if not sys.stdin.isatty():
        raise Misuse("nobody is there to ask: say --yes to restore without a question")
    sys.stderr.write("Restore this? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was restored")


def _row(entry: dict[str, Any]) -> list[Cell]:
    tables = entry["tables"].values()
    verified = age(entry.get("verified_at"))
    rows, size = (sum(int(table[what]) for table in tables) for what in ("rows", "bytes"))
    return [entry["restore_point"], age(entry["created_at"]), verified and f"{verified} ago", rows, size]
