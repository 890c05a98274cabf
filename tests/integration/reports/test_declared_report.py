"""Tests that a new report needs only a declaration. This module declares a report of hires per job, and tests that it
has the same features as the other reports."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from chalice.test import Client
from openapi_spec_validator import OpenAPIV31SpecValidator
from typer.testing import CliRunner, Result

from app import app
from chalicelib.api import report_routes
from chalicelib.auth import tokens
from chalicelib.reports import queries
from chalicelib.reports.declaration import Figure, Report, ReportColumn, Scope, Span, Variant
from chalicelib.reports.hires import HIRES, JOB, OF_DEPARTMENT, REPORTS
from chalicelib.services import services
from cli.commands.reports import group
from cli.tools import Tools
from infra import pages
from infra import reports as made
from tests.integration.fake_api import fake_api
from tests.integration.http_api import Api
from tests.openapi import Described

JOBS = Report(
    name="jobs",
    path="/department/hires/jobs",
    file="hires-per-job",
    title="Hires per job",
    about="For one year, over all its quarters.",
    heading="By job",
    by_department=True,
    sql=f"""
        SELECT j.job, sum(q1 + q2 + q3 + q4) AS hired FROM quarterly_hires h JOIN jobs j ON j.id = h.job_id
        WHERE year BETWEEN :first AND :last AND {OF_DEPARTMENT}
        GROUP BY j.id, j.job HAVING sum(q1 + q2 + q3 + q4) > 0 ORDER BY hired DESC, j.id
    """,
    variants={
        Span.YEAR: Variant(
            operation="report_hires_per_job",
            summary="Hires per job",
            about="Every job with a hire in that UTC year, most first.",
            response="the report; empty for a year without hires",
            schema="HiresPerJob",
            columns=(JOB, HIRES),
        )
    },
)
PATH = "/department/hires/jobs/{year}"
ROWS = [{"job": "<b>Clerk", "hired": 2}, {"job": "=Cook", "hired": 1}]


@pytest.fixture
def hired(api: Api) -> Iterator[Api]:
    """Return an API that has the report. Its database has hires."""
    app.register_blueprint(report_routes.routes([JOBS]))
    try:
        with Client(app) as client:
            yield fill(Api(client))
    finally:
        del app.routes[PATH]


def fill(api: Api) -> Api:
    api.post("/department/upload/batch", {"data": [{"id": 1, "department": "Staff"}, {"id": 2, "department": "Ops"}]})
    api.post("/job/upload/batch", {"data": [{"id": 1, "job": "=Cook"}, {"id": 2, "job": "<b>Clerk"}]})
    hires = [(2021, 1, 2), (2021, 2, 2), (2021, 1, 1), (2020, 1, 1)]
    data = [{"name": "A", "datetime": f"{year}-05-01", "department_id": d, "job_id": j} for year, d, j in hires]
    assert api.post("/hired_employee/upload/batch", {"data": data}).body["inserted"] == 4
    return api


def test_the_report_comes_as_json_or_csv_or_as_a_304(hired: Api) -> None:
    response = hired.get("/department/hires/jobs/2021")
    assert (response.status, response.body) == (200, ROWS)
    assert hired.get("/department/hires/jobs/1999").body == []
    sheet = hired.send("GET", "/department/hires/jobs/2021", headers={"Accept": "text/csv"})
    rows = list(csv.reader(io.StringIO(sheet.body, newline="")))
    assert rows == [["job", "hired"], ["<b>Clerk", "2"], ["'=Cook", "1"]]
    assert sheet.headers["Content-Disposition"] == 'attachment; filename="hires-per-job-2021.csv"'
    again = hired.send("GET", "/department/hires/jobs/2021", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("2021?department_id=1", [{"job": "=Cook", "hired": 1}, {"job": "<b>Clerk", "hired": 1}]),
        ("2021?department=ops", [{"job": "<b>Clerk", "hired": 1}]),
    ],
)
def test_the_report_can_be_limited_to_a_department(hired: Api, path: str, rows: list[dict[str, Any]]) -> None:
    assert hired.get(f"/department/hires/jobs/{path}").body == rows


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("0", "year must be a whole number from 1 to 9999"),
        ("2021?from=1", "the query parameter 'from' is unknown: this path takes department_id, department"),
        ("2021?department_id=x", "department_id must be a whole number from 1 to 2147483647"),
        ("2021?department=Op", "there is no department 'Op': similar names are 'Ops'"),
    ],
)
def test_a_wrong_query_is_refused(hired: Api, path: str, detail: str) -> None:
    response = hired.get(f"/department/hires/jobs/{path}")
    assert (response.status, response.body["detail"]) == (422, detail)


def test_the_report_needs_a_token(hired: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services().database.close()
    services.cache_clear()
    with services().database.session() as session:
        token = tokens.create(session, "reader")["token"]
    assert hired.get("/department/hires/jobs/2021").status == 401
    seen = hired.send("GET", "/department/hires/jobs/2021", headers={"Authorization": f"Bearer {token}"})
    assert (seen.status, seen.body) == (200, ROWS)


def test_the_document_describes_the_report(hired: Api) -> None:
    document = hired.get("/openapi.json").body
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    documented = document["paths"][PATH]["get"]
    assert (documented["operationId"], documented["summary"], documented["tags"]) == (
        "report_hires_per_job",
        "Hires per job",
        ["reports"],
    )
    assert [p["name"] for p in documented["parameters"]] == ["year", "department_id", "department", "X-Correlation-Id"]
    example = [{"job": "Recruiter", "hired": 6}]
    content = documented["responses"]["200"]["content"]
    assert content["application/json"]["example"] == example
    assert content["text/csv"]["example"] == '"job","hired"\r\n"Recruiter",6\r\n'
    described = Described(document)
    for path in ("2021", "x"):
        response = hired.get(f"/department/hires/jobs/{path}")
        described.check("GET", f"/department/hires/jobs/{path}", response.status, response.headers, response.body)
    assert described.faults(content["application/json"]["schema"], [{"job": 1}])


def test_an_api_without_the_report_does_not_describe_it(api: Api) -> None:
    assert PATH not in api.get("/openapi.json").body["paths"]
    assert 'id="jobs"' not in api.get("/dashboard/reports").body


def shown(api: Api, query: str) -> str:
    """Return the card of the report on the dashboard."""
    html = api.get(f"/dashboard/reports?{query}").body
    return str(html[html.index('<section class="card" aria-labelledby="of-jobs">') :])


def test_the_dashboard_shows_the_report_as_a_table(hired: Api) -> None:
    card = shown(hired, "from=2021&to=2021")
    assert ">By job</h2>" in card
    assert re.findall(r"<th[^>]*>(.*?)</th>", card) == ["Job", "Hired"]
    assert re.findall(r"<td[^>]*>(?:<bdi>)?(.*?)(?:</bdi>)?</td>", card) == ["&lt;b&gt;Clerk", "2", "=Cook", "1"]
    assert 'href="department/hires/jobs/2021" data-download="hires-per-job-2021.csv"' in card
    narrowed = shown(hired, "from=2021&to=2021&department_id=2")
    assert re.findall(r"<td[^>]*>(?:<bdi>)?(.*?)(?:</bdi>)?</td>", narrowed) == ["&lt;b&gt;Clerk", "1"]
    assert 'href="department/hires/jobs/2021?department_id=2"' in narrowed
    assert "This report has no rows for your choice." in shown(hired, "from=1999")
    several = shown(hired, "from=2020&to=2021")
    assert "Choose a single year to see this report." in several
    assert "<a " not in several


def program() -> typer.Typer:
    """Return a command line with this report and the others."""
    commands = group(made.for_command_line(report) for report in (*REPORTS, JOBS))

    @commands.callback()
    def prepare(context: typer.Context) -> None:
        context.obj = Tools({"API_URL": str(context.obj)})
        context.call_on_close(context.obj.close)

    return commands


def run(url: str, *words: str) -> Result:
    return CliRunner().invoke(program(), list(words), obj=url)


def test_the_command_line_has_a_command_for_the_report(
    hired: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    response = hired.get("/department/hires/jobs/2021?department_id=1").body
    with fake_api() as fake:
        fake.on("GET", "/department/hires/jobs/2021", response)
        done = run(fake.url, "jobs", "2021", "--department", "1")
        assert done.stdout.splitlines() == ["job\thired", "=Cook\t1", "<b>Clerk\t1"]
        assert json.loads(run(fake.url, "jobs", "2021", "--json").stdout) == response
        assert [asked.query for asked in fake.asked] == [{"department_id": "1"}, {}]
        assert run(fake.url, "jobs").exit_code == run(fake.url, "jobs", "2021", "--from", "2020").exit_code == 2
        assert len(fake.asked) == 2
    assert re.search("jobs +Hires per job.", run("", "--help").stdout)
    help_of_it = run("", "jobs", "--help").stdout
    assert all(word in help_of_it for word in ("jobs [OPTIONS] YEAR", "For one year, over all its quarters.", "--csv"))
    assert "--from" not in help_of_it


def test_the_readme_and_the_command_line_list_the_report() -> None:
    reports = (*REPORTS, JOBS)
    row = "| `./hireflow report jobs` | hires per job | `GET /department/hires/jobs/{year}`; `?department_id=`"
    assert row in made.page(pages.API.read_text(), reports)
    namespace: dict[str, Any] = {}
    exec(made.module(reports), namespace)
    assert namespace["REPORTS"] == tuple(map(made.for_command_line, reports))


def test_the_error_for_a_too_large_report_says_how_to_ask_for_less(hired: Api) -> None:
    with services().database.session() as session:
        session.run(
            "INSERT INTO jobs SELECT g, repeat('x', 10000) FROM generate_series(3, 502) g;"
            "INSERT INTO quarterly_hires SELECT 2021, 1, g, 1, 0, 0, 0 FROM generate_series(3, 502) g"
        )
    response = hired.get("/department/hires/jobs/2021")
    detail = "the report for 2021 is larger than 5 MB: narrow it with ?department_id="
    assert (response.status, response.body["detail"]) == (422, detail)
    assert hired.get("/department/hires/jobs/2021?department_id=2").body == [{"job": "<b>Clerk", "hired": 1}]


def test_a_report_may_have_columns_of_every_kind(hired: Api) -> None:
    """The dashboard writes a comma into a count above 999, but not into an id or a year."""
    columns = tuple(ReportColumn(figure.name.lower(), figure, figure.name, example=1) for figure in Figure)
    values = {Figure.ID: "1234", Figure.YEAR: "2021", Figure.NAME: "'a'", Figure.COUNT: "1234"}
    one = Report(
        name="all",
        path="/department/hires/all",
        file="all",
        title="One of each",
        about="Always.",
        heading="All",
        sql="SELECT " + ", ".join(f"{values[column.figure]} AS {column.name}" for column in columns),
        variants={Span.EVERY: Variant("report_all", "One of each", "Always.", "the row", "OneOfEach", columns)},
    )
    app.register_blueprint(report_routes.routes([one]))
    try:
        with Client(app) as client:
            api = Api(client)
            assert api.get("/department/hires/all").body == [{"id": 1234, "year": 2021, "name": "a", "count": 1234}]
            html = api.get("/dashboard/reports").body
    finally:
        del app.routes["/department/hires/all"]
    cells = re.findall(r"<td[^>]*>(?:<bdi>)?(.*?)(?:</bdi>)?</td>", html[html.index('aria-labelledby="of-all"') :])
    assert cells == ["1234", "2021", "a", "1,234"]


def test_a_column_may_have_any_name(api: Api) -> None:
    """The name of a column may be an SQL keyword, or a name that the query around the report's SQL uses."""
    names = ("user", "order", "shown", "r", "report")
    columns = tuple(ReportColumn(name, Figure.NAME, name, example="x") for name in names)
    one = Report(
        name="words",
        path="/department/hires/words",
        file="words",
        title="Words",
        about="Always.",
        heading="Words",
        sql="SELECT " + ", ".join(f"""'of {name}' AS "{name}\"""" for name in names),
        variants={Span.EVERY: Variant("report_words", "Words", "Always.", "the row", "Words", columns)},
    )
    row = {name: f"of {name}" for name in names}
    with services().database.session() as session:
        assert json.loads(queries.as_json(session, one, Span.EVERY, Scope())) == [row]
        assert queries.first_rows(session, one, Span.EVERY, Scope()) == [row]
