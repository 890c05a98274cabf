"""report quarterly and report top: who hired how many."""

from typing import Annotated, Any

import typer

from cli.errors import Misuse
from cli.help import Command
from cli.options import Json
from cli.tools import Tools

app = typer.Typer(help="Report hires by quarter, or the top departments.", no_args_is_help=True)

Year = Annotated[
    int | None, typer.Argument(min=1, max=9999, metavar="YEAR", show_default=False, help="A year, in UTC.")
]
From = Annotated[
    int | None, typer.Option("--from", min=1, max=9999, metavar="YEAR", show_default=False, help="The first year.")
]
To = Annotated[
    int | None, typer.Option("--to", min=1, max=9999, metavar="YEAR", show_default=False, help="The last year.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV that is safe to open in a spreadsheet.")]


@app.command(cls=Command)
def quarterly(
    context: typer.Context,
    year: Year = None,
    first: From = None,
    last: To = None,
    department: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="Only this department, by its name or id.")
    ] = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """Hires per department, job and quarter.

    Of a year, of a range of years, or of all of them.
    """
    narrowed = {"from": first, "to": last, **_narrowed(department)}
    _report(context, "quarterly", year, narrowed, as_csv, as_json)


@app.command(cls=Command)
def top(
    context: typer.Context,
    year: Year = None,
    first: From = None,
    last: To = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """Departments that hired more than the mean.

    In a year, in a range of years, or in all of them.
    """
    _report(context, "top", year, {"from": first, "to": last}, as_csv, as_json)


def _narrowed(department: str | None) -> dict[str, str | None]:
    """A department as the API takes it: digits are an id, anything else is a name."""
    by_id = department is not None and department.isascii() and department.isdigit()
    return {"department_id" if by_id else "department": department}


def _report(
    context: typer.Context,
    name: str,
    year: int | None,
    narrowed: dict[str, Any],
    as_csv: bool,
    as_json: bool,
) -> None:
    if year is not None and any(narrowed[name] is not None for name in ("from", "to")):
        raise Misuse("name a year, or --from and --to, not both")
    if as_csv and as_json:
        raise Misuse("--csv or --json, not both")
    tools = Tools.of(context)
    path = f"/department/hires/{name}" + (f"/{year}" if year is not None else "")
    kind = "text/csv" if as_csv else "application/json"
    answer = tools.api.send("GET", path, narrowed, headers={"Accept": kind})
    if as_csv:
        tools.out.raw(answer.body)
        return
    rows: list[dict[str, Any]] = answer.json()
    if as_json:
        tools.out.json(rows)
    elif rows:
        tools.out.table(list(rows[0]), [list(row.values()) for row in rows], ["department", "job"])
    else:
        tools.notes.line("no hires")
