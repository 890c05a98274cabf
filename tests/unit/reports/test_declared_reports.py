"""Tests that the declarations of reports are consistent, and that the files made from them are up to date."""

import re
from collections.abc import Callable

import pytest

from app import app
from chalicelib.api.openapi.components import components
from chalicelib.api.openapi.report_schemas import report_schemas
from chalicelib.reports.declaration import Figure, Report, Variant
from chalicelib.reports.hires import REPORTS
from cli import report_table
from infra import pages
from infra import reports as made
from infra.venv import ROOT

VARIANTS = [variant for report in REPORTS for variant in report.variants.values()]
TEMPLATES = (ROOT / "chalicelib/dashboard/templates").glob("*.html")
IDS = {found for template in TEMPLATES for found in re.findall(r'id="([\w-]+)"', template.read_text())}
MAKE = "run python -m infra.reports"


def test_the_command_line_and_the_pages_have_the_reports_that_are_declared() -> None:
    assert tuple(map(made.for_command_line, REPORTS)) == report_table.REPORTS, MAKE
    assert made.COMMANDS.read_text() == made.module(REPORTS), MAKE
    assert pages.API.read_text() == made.page(pages.API.read_text(), REPORTS), MAKE


@pytest.mark.parametrize("name", [lambda r: r.name, lambda r: r.path, lambda r: r.file], ids=["name", "path", "file"])
def test_no_two_reports_share_a_name(name: Callable[[Report], str]) -> None:
    assert len({name(report) for report in REPORTS}) == len(REPORTS)


def test_no_two_variants_share_an_operation() -> None:
    assert len({variant.operation for variant in VARIANTS}) == len(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.operation)
def test_variants_with_one_schema_have_the_same_columns(variant: Variant) -> None:
    assert {other.columns for other in VARIANTS if other.schema == variant.schema} == {variant.columns}
    assert len({report.member for report in REPORTS if variant.schema in report_schemas([report])}) == 1


def test_no_schema_of_a_report_has_the_name_of_another() -> None:
    assert report_schemas(REPORTS).keys() & components(()).keys() == set()


def test_no_two_routes_differ_only_by_the_name_of_a_parameter() -> None:
    """API Gateway refuses such routes. Another server could not know which of the two routes a request means."""
    shapes = [re.sub(r"{\w+}", "{}", path) for path in app.routes]
    assert sorted(shapes) == sorted({*shapes})


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_names_are_valid_wherever_they_are_used(report: Report) -> None:
    """A name is used in a command, an address, a file name, SQL and a page."""
    assert re.fullmatch("[a-z][a-z0-9-]*", report.name)
    assert report.name not in IDS
    assert re.fullmatch("[a-z][a-z0-9-]*", report.file)
    assert re.fullmatch("(/[a-z][a-z0-9_-]*)+", report.path)
    for variant in report.variants.values():
        names = [column.name for column in variant.columns]
        assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in names)
        assert len({*names}) == len(names) > 0


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.operation)
def test_a_name_and_a_count_have_an_example(variant: Variant) -> None:
    kinds = {Figure.NAME: str, Figure.COUNT: int, Figure.YEAR: int}
    for column in variant.columns:
        assert column.figure is Figure.ID or isinstance(column.example, kinds[column.figure]), column.name


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_a_report_has_a_variant(report: Report) -> None:
    assert report.variants


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_a_report_takes_the_parameters_of_its_sql(report: Report) -> None:
    assert (":department_id" in report.sql) == report.by_department
    assert ":first" in report.sql
    assert ":last" in report.sql
    for variant in report.variants.values():
        assert {*report.summed} <= {column.name for column in variant.columns if column.figure is Figure.COUNT}
