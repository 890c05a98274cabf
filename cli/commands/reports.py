"""The commands `report quarterly`, `report top` and so on. Each report of the API has one command."""

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer

from cli.errors import Misuse
from cli.help import Command
from cli.options import Json
from cli.report_table import REPORTS
from cli.reports import Report
from cli.tools import Tools

_YEAR = Annotated[int, typer.Argument(min=1, max=9999, metavar="YEAR", show_default=False, help="The year, in UTC.")]
_YEAR_OR_NONE = Annotated[
    int | None, typer.Argument(min=1, max=9999, metavar="YEAR", show_default=False, help="The year, in UTC.")
]
_FROM = Annotated[
    int | None, typer.Option("--from", min=1, max=9999, metavar="YEAR", show_default=False, help="The first year.")
]
_TO = Annotated[
    int | None, typer.Option("--to", min=1, max=9999, metavar="YEAR", show_default=False, help="The last year.")
]
_DEPARTMENT = Annotated[
    str | None, typer.Option(metavar="NAME", show_default=False, help="Only this department: its name or id.")
]
_CSV = Annotated[bool, typer.Option("--csv", help="Print CSV that is safe to open in a spreadsheet.")]


def group(reports: Iterable[Report]) -> typer.Typer:
    """Return a group with a command for each of these reports."""
    commands = typer.Typer(help="Print one of the reports.", no_args_is_help=True)
    for report in reports:
        commands.command(report.name, cls=Command)(_command(report))
    return commands


def _command(report: Report) -> Callable[..., None]:
    """Return a function whose signature has the parameters of the report. typer builds the command from this."""

    def run(context: typer.Context, **given: Any) -> None:
        _print(Tools.of(context), report, given)

    taken = [Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context), *_parameters(report)]
    run.__doc__ = f"{report.title}.\n\n{report.about}"
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in taken}
    run.__signature__ = Signature(taken)  # type: ignore[attr-defined]
    return run


def _parameters(report: Report) -> Iterable[Parameter]:
    def optional(name: str, annotation: Any, default: Any = None) -> Parameter:
        return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    if report.takes_year and not report.takes_range:
        yield Parameter("year", Parameter.KEYWORD_ONLY, annotation=_YEAR)
    if report.takes_year and report.takes_range:
        yield optional("year", _YEAR_OR_NONE)
    if report.takes_range:
        yield from (optional("first", _FROM), optional("last", _TO))
    if report.takes_department:
        yield optional("department", _DEPARTMENT)
    yield from (optional("as_csv", _CSV, False), optional("as_json", Json, False))


def _narrowed(department: str | None) -> dict[str, str | None]:
    """Return the query parameter for a department: digits are an id, any other text is a name."""
    by_id = department is not None and department.isascii() and department.isdigit()
    return {"department_id" if by_id else "department": department}


def _print(tools: Tools, report: Report, given: Mapping[str, Any]) -> None:
    year, first, last = (given.get(name) for name in ("year", "first", "last"))
    as_csv, as_json = given["as_csv"], given["as_json"]
    if year is not None and (first is not None or last is not None):
        raise Misuse("use either YEAR or --from and --to, not both")
    if as_csv and as_json:
        raise Misuse("use either --csv or --json, not both")
    path = report.path if year is None else f"{report.path}/{year}"
    query = {"from": first, "to": last, **_narrowed(given.get("department"))}
    response = tools.api.send("GET", path, query, headers={"Accept": "text/csv" if as_csv else "application/json"})
    if as_csv:
        tools.out.raw(response.body)
        return
    document = response.json()
    rows: list[dict[str, Any]] = document[report.member] if report.member else document
    if as_json:
        tools.out.json(document)
    elif rows:
        tools.out.table(list(rows[0]), [list(row.values()) for row in rows], report.texts)
    else:
        tools.notes.line("no hires")


app = group(REPORTS)
