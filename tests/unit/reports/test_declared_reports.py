"""What is declared of reports agrees with itself, and with what is made from it."""

from collections.abc import Callable

import pytest

from chalicelib.reports.declaration import Report, Variant
from chalicelib.reports.hires import REPORTS
from cli import report_table
from infra import reports as made

VARIANTS = [variant for report in REPORTS for variant in report.variants.values()]
MAKE = "run python -m infra.reports"


def test_the_command_line_and_the_readme_have_the_reports_that_are_declared() -> None:
    assert tuple(map(made.for_command_line, REPORTS)) == report_table.REPORTS, MAKE
    assert made.COMMANDS.read_text() == made.module(REPORTS), MAKE
    assert made.README.read_text() == made.readme(made.README.read_text(), REPORTS), MAKE


@pytest.mark.parametrize("name", [lambda r: r.name, lambda r: r.path, lambda r: r.file], ids=["name", "path", "file"])
def test_no_two_reports_share_a_name(name: Callable[[Report], str]) -> None:
    assert len({name(report) for report in REPORTS}) == len(REPORTS)


def test_no_two_variants_share_an_operation() -> None:
    assert len({variant.operation for variant in VARIANTS}) == len(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.operation)
def test_variants_with_one_schema_have_the_same_columns(variant: Variant) -> None:
    assert {other.columns for other in VARIANTS if other.schema == variant.schema} == {variant.columns}


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_a_report_takes_what_its_sql_asks_for(report: Report) -> None:
    assert (":department_id" in report.sql) == report.by_department
    assert ":first" in report.sql
    assert ":last" in report.sql
    names = {column.name for variant in report.variants.values() for column in variant.columns}
    assert set(report.summed) <= names
