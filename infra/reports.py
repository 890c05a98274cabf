"""Writes the files that are generated from the declared reports.

`python -m infra.reports` writes cli/report_table.py and a table of docs/api.md from chalicelib/reports/hires.py. A test
fails if one of these files differs from what this command would write.
"""

import json
from collections.abc import Iterable
from dataclasses import fields

from chalicelib.reports import declaration, hires
from chalicelib.reports.declaration import Figure, Span
from cli.reports import Report
from infra import pages
from infra.venv import ROOT

COMMANDS = ROOT / "cli/report_table.py"
_OF_RANGE = " (`?from=&to=`, both included, and either may be left out)"
_MODULE = '''\
"""The reports of the API. `python -m infra.reports` writes this file from chalicelib/reports/hires.py: change that."""

from cli.reports import Report

REPORTS = (
{reports})
'''


def for_command_line(report: declaration.Report) -> Report:
    """Convert a report to the declaration that the command line uses."""
    columns = dict.fromkeys(column for variant in report.variants.values() for column in variant.columns)
    return Report(
        name=report.name,
        title=report.title,
        about=report.about,
        path=report.path,
        takes_year=Span.YEAR in report.variants,
        takes_range=Span.RANGE in report.variants,
        takes_department=report.by_department,
        texts=tuple(column.name for column in columns if column.figure is Figure.NAME),
        member=report.member,
    )


def module(reports: Iterable[declaration.Report]) -> str:
    """Return the source of the command line's table."""
    return _MODULE.format(reports="".join(map(_source, map(for_command_line, reports))))


def table(reports: Iterable[declaration.Report]) -> str:
    """Return a Markdown table with each command, its report, and the routes of the report."""
    return "\n".join(["| command | reports | routes |", "|---|---|---|", *map(_row, reports)])


def page(text: str, reports: Iterable[declaration.Report]) -> str:
    """Return the text of the page about the API with the table of these reports."""
    return pages.with_table(text, "reports", table(reports))


def _source(report: Report) -> str:
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    lines = "".join(f"        {name}={_literal(value)},\n" for name, value in values.items())
    return f"    Report(\n{lines}    ),\n"


def _literal(value: str | bool | tuple[str, ...]) -> str:
    """Return the Python literal of a value, as ruff formats it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _row(report: declaration.Report) -> str:
    routes = [f"`GET {report.route(span)}`" + _OF_RANGE * (span is Span.RANGE) for span in report.variants]
    narrowing = ["`?department_id=`, or `?department=` with its name"] if report.by_department else []
    title = report.title[0].lower() + report.title[1:]
    return f"| `./hireflow report {report.name}` | {title} | {'; '.join([', '.join(routes), *narrowing])} |"


def main() -> None:
    COMMANDS.write_text(module(hires.REPORTS))
    pages.API.write_text(page(pages.API.read_text(), hires.REPORTS))


if __name__ == "__main__":
    main()
