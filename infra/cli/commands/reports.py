"""report quarterly and report top: who hired how many."""

from typing import Annotated, Any

import typer

from infra.cli.errors import Misuse
from infra.cli.options import Json
from infra.cli.tools import Tools

app = typer.Typer(help="The reports: hires per quarter, departments above the mean.", no_args_is_help=True)

Year = Annotated[
    int | None, typer.Argument(min=1, max=9999, metavar="YEAR", show_default=False, help="A year, in UTC.")
]
From = Annotated[int | None, typer.Option("--from", min=1, max=9999, show_default=False, help="The first year.")]
To = Annotated[int | None, typer.Option("--to", min=1, max=9999, show_default=False, help="The last year.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV that is safe to open in a spreadsheet.")]


@app.command()
def quarterly(
    context: typer.Context,
    year: Year = None,
    first: From = None,
    last: To = None,
    department: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Only this department's id.")
    ] = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """Hires per department, job and quarter; of a year, of a range, or of all years."""
    _report(context, "quarterly", year, {"from": first, "to": last}, {"department_id": department}, as_csv, as_json)


@app.command()
def top(
    context: typer.Context,
    year: Year = None,
    first: From = None,
    last: To = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """Departments that hired more than the mean; in a year, in a range, or in all years."""
    _report(context, "top", year, {"from": first, "to": last}, {}, as_csv, as_json)


def _report(
    context: typer.Context,
    name: str,
    year: int | None,
    years: dict[str, int | None],
    narrowed: dict[str, int | None],
    as_csv: bool,
    as_json: bool,
) -> None:
    if year is not None and any(value is not None for value in years.values()):
        raise Misuse("name a year, or --from and --to, not both")
    if as_csv and as_json:
        raise Misuse("--csv or --json, not both")
    tools = Tools.of(context)
    path = f"/department/hires/{name}" + (f"/{year}" if year is not None else "")
    kind = "text/csv" if as_csv else "application/json"
    answer = tools.api.send("GET", path, {**years, **narrowed}, headers={"Accept": kind})
    if as_csv:
        tools.out.raw(answer.content)
        return
    rows: list[dict[str, Any]] = answer.json()
    if as_json:
        tools.out.json(rows)
    elif rows:
        tools.out.table(list(rows[0]), [list(row.values()) for row in rows], ["department", "job"])
    else:
        tools.notes.line("no hires")
