"""upload and check: CSV files."""

from typing import Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from infra.cli import files, summary
from infra.cli.errors import Misuse
from infra.cli.files import Sent
from infra.cli.follow import Load, follow
from infra.cli.options import Dataset, File, Files, Json, Strict
from infra.cli.tools import Tools
from infra.errors import CloudError
from infra.text import printable

Order = dict[str, Any]


def upload(
    context: typer.Context,
    paths: Files,
    dataset: Dataset = None,
    strict: Strict = False,
    no_wait: bool = typer.Option(False, "--no-wait", help="Do not wait for the loads to end."),
) -> None:
    """Upload CSV files (.csv, .csv.gz), and follow their loads.

    Each file goes straight to the landing bucket, whatever its size. Departments and jobs go before the
    employees that refer to them, in whatever order they are named. Status 1 where a load failed.
    """
    tools = Tools.of(context)
    good = True
    for wave in files.waves(Sent.of(path, dataset) for path in paths):
        orders, sent = _send(tools, wave)
        good = good and sent
        if no_wait:
            for name, order in orders.items():
                tools.out.line(f"{name}: load {order['load_id']} queued")
            continue
        ended = follow(tools.api, tools.notes, {name: order["status_url"] for name, order in orders.items()})
        for name, load in ended.items():
            summary.ended(tools, name, load)
            good = good and _is_good(load, strict)
    raise typer.Exit(0 if good else 1)


def check(
    context: typer.Context,
    path: File,
    dataset: Dataset = None,
    strict: Strict = False,
    limit: int = typer.Option(20, min=1, max=100, help="How many rejected records to show."),
    as_json: Json = False,
) -> None:
    """Say what an upload of a CSV file would do, without doing it."""
    tools = Tools.of(context)
    file = Sent.of(path, dataset)
    body, kind = files.smaller(file)
    answer = tools.api.send(
        "POST",
        "/uploads/check",
        {"dataset": file.dataset, "limit": limit},
        content=body,
        headers={"Content-Type": kind},
    )
    found = answer.json()
    if as_json:
        tools.out.json(found)
    else:
        tools.out.line(f"{path.name}: would be loaded as {found['dataset']}; nothing was written")
        tools.out.line(f"  {summary.counts(found)}")
        summary.rejects(tools.out, found)
    raise typer.Exit(1 if strict and found["rejected"] else 0)


def _send(tools: Tools, wave: list[Sent]) -> tuple[dict[str, Order], bool]:
    """The orders of the files that arrived, and whether all did. One that does not arrive keeps no other back."""
    orders: dict[str, Order] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    whole = True
    with tools.notes.progress(*columns) as progress:
        for file in wave:
            try:
                orders[_name(file, orders)] = _sent(tools, file, progress)
            except Misuse:
                raise
            except CloudError as error:
                tools.notes.line(f"error: {file.path.name}: {error}")
                whole = False
    return orders, whole


def _sent(tools: Tools, file: Sent, progress: Progress) -> Order:
    with files.opened(file.path) as source:
        size = source.seek(0, 2)
        order: Order = tools.api.post("/uploads", {"dataset": file.dataset, "filename": file.path.name, "size": size})
        task = progress.add_task(printable(file.path.name), total=size)
        source.seek(0)
        with progress.wrap_file(source, task_id=task) as watched:
            tools.presigned.upload(order["url"], order["fields"], file.path.name, watched)
    return order


def _name(file: Sent, taken: dict[str, Order]) -> str:
    """What to call a file: its name, or its path where another has the same."""
    return str(file.path) if file.path.name in taken else file.path.name


def _is_good(load: Load, strict: bool) -> bool:
    return load["status"] != "failed" and not (strict and summary.open_rejects(load))
