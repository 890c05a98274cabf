"""The commands upload and check, for CSV and XLSX files."""

from typing import Annotated

import typer

from cli import files
from cli.files import Sent
from cli.options import MAX_PAGE, Dataset, File, Files, Json, Strict
from cli.tools import Tools


def upload(
    context: typer.Context,
    paths: Files,
    dataset: Dataset = None,
    strict: Strict = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the loads to end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON for each file when its load ends.")
    ] = False,
) -> None:
    """Upload CSV or XLSX files and follow their loads.

    Files are .csv, .csv.gz or .xlsx. They go directly to the landing bucket. Departments and jobs are loaded before
    hired_employees, whatever the order of the arguments.

    Ctrl-C cancels the loads whose files have not arrived yet. The exit status is 1 if a load failed or a file did
    not arrive.
    """
    from cli.uploads import Uploads

    tools = Tools.of(context)
    uploads = Uploads(tools, wait=not no_wait, strict=strict, as_json=as_json)
    try:
        for wave in files.waves(Sent.of(path, dataset) for path in paths):
            uploads.send(wave)
            uploads.follow()
    except KeyboardInterrupt:
        uploads.cancel()
        raise
    raise typer.Exit(0 if uploads.good else 1)


def check(
    context: typer.Context,
    path: File,
    dataset: Dataset = None,
    strict: Strict = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, metavar="N", help="Show at most N rejected records.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what an upload would do, and load nothing.

    The API reads the file by the same rules as a load, but writes nothing.
    """
    from cli import summary

    tools = Tools.of(context)
    file = Sent.of(path, dataset)
    body, kind = files.smaller(file)
    parameters = {"dataset": file.dataset, "limit": limit}
    response = tools.api.send("POST", "/uploads/check", parameters, body=body, headers={"Content-Type": kind})
    found = response.json()
    if as_json:
        tools.out.json(found)
    else:
        tools.out.line(f"{path.name}: would be loaded as {found['dataset']}; nothing was written")
        tools.out.line(f"  {summary.counts(found)}")
        summary.rejects(tools.out, found)
    raise typer.Exit(1 if strict and found["rejected"] else 0)
