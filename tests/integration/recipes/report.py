"""Tests that the new report `totals` is in every place where the other reports are."""

import csv
import io
import json
import re

from typer.testing import CliRunner

from cli.app import app
from infra.venv import ROOT
from tests.integration.fake_api import fake_api
from tests.integration.http_api import Api
from tests.integration.reports.test_declared_report import fill
from tests.openapi import described

PATH = "/department/hires/totals"
ROWS = [{"department": "Staff", "hired": 2}, {"department": "Ops", "hired": 1}]


def test_the_route_returns_json_and_csv(api: Api) -> None:
    assert fill(api).get(f"{PATH}/2021").body == ROWS
    sheet = api.send("GET", f"{PATH}/2021", headers={"Accept": "text/csv"})
    assert list(csv.reader(io.StringIO(sheet.body))) == [["department", "hired"], ["Staff", "2"], ["Ops", "1"]]
    assert sheet.headers["Content-Disposition"] == 'attachment; filename="hires-per-department-2021.csv"'


def test_the_openapi_document_describes_the_report() -> None:
    operation = described().document["paths"][f"{PATH}/{{year}}"]["get"]
    assert (operation["operationId"], operation["x-role"]) == ("report_hires_per_department", "reader")


def test_the_dashboard_has_a_table_for_the_report(api: Api) -> None:
    html = fill(api).get("/dashboard/reports?from=2021&to=2021").body
    card = html[html.index('<section class="card" aria-labelledby="of-totals">') :]
    assert re.findall(r"<td[^>]*>(?:<bdi>)?(.*?)(?:</bdi>)?</td>", card) == ["Staff", "2", "Ops", "1"]


def test_the_command_line_has_a_command_for_the_report() -> None:
    with fake_api() as fake:
        fake.on("GET", f"{PATH}/2021", ROWS)
        done = CliRunner().invoke(app, ["report", "totals", "2021", "--json"], env={"API_URL": fake.url})
    assert (done.exit_code, json.loads(done.stdout)) == (0, ROWS)


def test_the_documentation_lists_the_report() -> None:
    row = f"| `./hireflow report totals` | hires per department | `GET {PATH}/{{year}}` |"
    assert any(row in page.read_text() for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
