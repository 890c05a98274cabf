"""The commands backup, backups and restore."""

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
_UNKNOWN = "this release has no such dataset"
_TRIES = 60  # the command requests a backup at most this often, once a second


def _datasets(names: list[str]) -> list[str]:
    """Return the datasets, each once, parents before their children. Return only `all` if `all` is among the names."""
    if _EVERYTHING in names:
        return [_EVERYTHING]
    found = {dataset.name for name in names if (dataset := by_route(name))}
    unknown = [name for name in names if by_route(name) is None]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(DATASETS)}, {_EVERYTHING}")
    return sorted(found, key=lambda name: (files.generation(name), list(DATASETS).index(name)))


def _beginning(incomplete: str) -> list[str]:
    return beginning(incomplete, (*DATASETS, _EVERYTHING))


def backup(context: typer.Context) -> None:
    """Back up now, and print the name of the restore point.

    If no row has changed since the newest restore point, the command only prints the name of this restore point.
    """
    tools = Tools.of(context)
    for _ in range(_TRIES):
        run = tools.invoke("backup")
        if point := run["restore_point"]:
            if run["outcome"] == "waiting":
                tools.notes.line(
                    "no backup was made: the database is empty, and this restore point is of another database"
                )
            tools.out.line(point)
            return
        time.sleep(1)  # another backup is running, for example the scheduled one
    raise CommandError(f"another backup has been running for {_TRIES} seconds: try again later")


def backups(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, metavar="N", help="Show at most N restore points.")] = 20,
    as_json: Json = False,
) -> None:
    """List the restore points, newest first."""
    tools = Tools.of(context)
    found = tools.api.get("/backups", limit=limit)["backups"]
    if as_json:
        tools.out.json(found)
    elif found:
        tools.out.table(("restore point", "age", "verified", "rows", "bytes"), [_row(entry) for entry in found])
        for name in dict.fromkeys(name for entry in found for name in _unknown(entry)):
            points = [entry["restore_point"] for entry in found if name in entry["tables"]]
            tools.notes.line(f"{name}: {_UNKNOWN}; it is in {', '.join(points)}")
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
    point: Annotated[str | None, typer.Option(metavar="NAME", help="Use this restore point, not the newest.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Restore without asking.")] = False,
) -> None:
    """Restore datasets from a restore point.

    Parents are restored before their children. The command follows each load until it ends. With `all`, the command
    restores all datasets that the restore point contains.
    """
    from cli import summary
    from cli.follow import follow

    tools = Tools.of(context)
    chosen = _chosen(tools, point)
    names = _contained(tools, chosen, datasets)
    _describe(tools, chosen, names)
    if not yes:
        _confirm()
    rejected: list[int] = []
    for name in names:  # one after another, because rows without their parents would be rejected
        order = tools.api.post(f"/{name}/backup/restore", {"restore_point": chosen["restore_point"]})
        load = dict(follow(tools.api, tools.notes, {name: order["status_url"]}))[name]
        summary.ended(tools, name, load)
        if load["status"] != "succeeded":
            raise CommandError(f"the restore of {name} {load['status']}; no later dataset was restored")
        if summary.open_rejects(load):
            rejected.append(load["id"])
    if rejected:
        commands = ", ".join(f"hireflow rejects {load_id}" for load_id in rejected)
        raise CommandError(f"some rows were not restored, because they were rejected: see {commands}")


def _chosen(tools: Tools, point: str | None) -> dict[str, Any]:
    """Return a restore point as the API lists it: the one with the name `point`, or the newest if `point` is None.

    Raises CommandError if the newest one seems to be of a new database into which the rows of the previous database
    were not restored yet."""
    if point is not None:
        if (named := _named(tools, point)) is None:
            raise CommandError(f"there is no restore point {point}")
        return named
    found = tools.api.get("/backups", limit=1)["backups"]
    if not found:
        raise CommandError("there is no backup yet")
    newest = dict(found[0])
    previous = newest.get("previous_database")
    lost = _named(tools, previous) if previous else None
    if lost and (rows_before := _total(lost, "rows")) > (rows := _total(newest, "rows")):
        raise CommandError(
            f"the newest restore point {newest['restore_point']} is of a new database and has {rows:,} rows,"
            f" but {previous} is of the previous database and has {rows_before:,} rows:"
            " choose one of them with --point"
        )
    return newest


def _named(tools: Tools, point: str) -> dict[str, Any] | None:
    """Return the restore point with this name as the API lists it, or None if there is no such restore point."""
    found = tools.api.get("/backups", limit=1, cursor=_after(point))["backups"]
    return dict(found[0]) if found and found[0]["restore_point"] == point else None


def _total(entry: dict[str, Any], what: str) -> int:
    return sum(int(table[what]) for table in entry["tables"].values())


def _after(point: str) -> str:
    """Return the next possible name after `point`. With this name as cursor, the API's list begins with `point`."""
    try:
        return moments.next_restore_point(point)
    except (ValueError, OverflowError):
        raise Misuse(f"{point} is no restore point: a restore point has a name like 20210727T160208.123456Z") from None


def _contained(tools: Tools, chosen: dict[str, Any], datasets: list[str]) -> list[str]:
    """Return the datasets to restore. `all` means all datasets in the restore point. A line names each other dataset,
    and each table of a later release.

    Raises CommandError if the restore point does not contain a dataset that the user has named.
    """
    contained = [name for name in DATASETS if name in chosen["tables"]]
    if datasets == [_EVERYTHING]:
        for name in DATASETS:
            if name not in contained:
                tools.out.line(f"{name}: not in this restore point")
        for name in _unknown(chosen):
            tools.out.line(f"{name}: {_UNKNOWN}, so it is not restored")
        return contained
    if missing := [name for name in datasets if name not in contained]:
        raise CommandError(
            f"restore point {chosen['restore_point']} does not contain {', '.join(missing)}:"
            f" it contains {', '.join(contained)}"
        )
    return datasets


def _unknown(entry: dict[str, Any]) -> list[str]:
    """Return the tables of a restore point that this release does not have, because a later release has made the
    restore point."""
    return [name for name in entry["tables"] if name not in DATASETS]


def _describe(tools: Tools, chosen: dict[str, Any], datasets: list[str]) -> None:
    tables = chosen["tables"]
    rows = ", ".join(f"{name} ({tables[name]['rows']:,} rows)" for name in datasets)
    tools.out.line(f"Restore point {chosen['restore_point']}, {age(chosen['created_at'])} old: {rows}")
    tools.out.line("  Rows deleted since then come back. Changed rows get their old values. Added rows stay.")
    parents = {parent for name in datasets for parent in DATASETS[name].parents} - set(datasets)
    if parents:
        tools.out.line(f"  Rows that refer to deleted {' or '.join(sorted(parents))} are rejected.")


def _confirm() -> None:
    """Ask the user. Raises Misuse if standard input is no terminal, CommandError if the user does not say yes."""
    if not sys.stdin.isatty():
        raise Misuse("standard input is no terminal: add --yes to restore without a question")
    sys.stderr.write("Restore this? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was restored")


def _row(entry: dict[str, Any]) -> list[Cell]:
    verified = age(entry.get("verified_at"))
    rows, size = _total(entry, "rows"), _total(entry, "bytes")
    return [entry["restore_point"], age(entry["created_at"]), verified and f"{verified} ago", rows, size]
