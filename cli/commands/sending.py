"""Declares the commands upload and check, which send files."""

from typing import Annotated

import typer

from cli import files
from cli.declarations import Declared
from cli.declared_options import takes_declarations
from cli.files import Sent
from cli.options import MAX_PAGE, Dataset, File, Files, Json, Strict
from cli.tools import Tools


@takes_declarations
def upload(
    context: typer.Context,
    paths: Files,
    dataset: Dataset = None,
    *,
    declared: Declared,
    strict: Strict = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the loads to end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON for each file when its load ends.")
    ] = False,
) -> None:
    """Upload files and follow their loads.

    Files may be Excel (.xlsx), CSV (.csv, .tsv, .txt, each also with .gz) or Avro (.avro). The files go directly to the
    landing bucket. Departments and jobs are loaded before hired_employees, whatever the order of the arguments.

    The values of a CSV file may be separated by commas, semicolons or tabs: no option is needed. If a file contains
    dates such as 27/07/2021 or 27.07.2021, add --dates dmy.

    Ctrl-C cancels the loads whose files have not arrived yet. The exit status is 1 if a load failed or a file did
    not arrive.
    """
    from cli.uploads import Uploads

    tools = Tools.of(context)
    uploads = Uploads(tools, declared, wait=not no_wait, strict=strict, as_json=as_json)
    try:
        for wave in files.waves(Sent.of(path, dataset) for path in paths):
            uploads.send(wave)
            uploads.follow()
    except KeyboardInterrupt:
        uploads.cancel()
        raise
    raise typer.Exit(0 if uploads.good else 1)


@takes_declarations
def check(
    context: typer.Context,
    path: File,
    dataset: Dataset = None,
    *,
    declared: Declared,
    strict: Strict = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, metavar="N", help="Show at most N rejected records.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what an upload would do, and load nothing.

    The API reads the file by the same rules as a load, but writes nothing. The exit status is 1 if the load would fail.
    """
    from cli import summary

    tools = Tools.of(context)
    file = Sent.of(path, dataset)
    body, kind = files.smaller(file)
    parameters = {"dataset": file.dataset, "limit": limit, **declared}
    response = tools.api.send("POST", "/uploads/check", parameters, body=body, headers={"Content-Type": kind})
    found = response.json()
    fails = found.get("status") == "failed"
    if as_json:
        tools.out.json(found)
    else:
        would = "fail" if fails else f"be loaded as {found['dataset']}"
        tools.out.line(f"{path.name}: would {would}; nothing was written{summary.why(found)}")
        summary.described(tools.out, found)
        tools.out.line(f"  {summary.counts(found)}")
        summary.rejects(tools.out, found)
    raise typer.Exit(1 if fails or (strict and found["rejected"]) else 0)
