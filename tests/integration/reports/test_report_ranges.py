"""Tests that a report over several years agrees with the reports of the single years."""

import csv
import io
import json
from collections import Counter
from dataclasses import asdict
from statistics import fmean
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.cloud.database import Database, Session
from chalicelib.core.errors import Unprocessable
from chalicelib.reports import queries
from chalicelib.reports.declaration import Scope, Span
from chalicelib.reports.hires import QUARTERLY, TOP, YEARS
from tests.integration.http_api import Api

SOME_YEARS = st.sampled_from([1, 1999, 2019, 2020, 2021, 9999])
HIRES = st.lists(st.tuples(SOME_YEARS, st.integers(1, 12), st.integers(1, 4), st.integers(1, 3)), max_size=40)
RANGES = st.tuples(SOME_YEARS, SOME_YEARS).map(sorted)


def hire(session: Session, hires: list[tuple[int, int, int, int]]) -> None:
    """Insert an employee for each (year, month, department, job), and their departments and jobs. Departments 1 and 3
    have the same name."""
    session.run(
        "TRUNCATE departments, jobs CASCADE;"
        "INSERT INTO departments VALUES (1, 'Ops'), (2, 'apple'), (3, 'Ops'), (4, 'Émile');"
        "INSERT INTO jobs VALUES (1, 'z'), (2, 'Z'), (3, 'é')"
    )
    for n, (year, month, department, job) in enumerate(hires, 1):
        session.run(
            "INSERT INTO hired_employees VALUES (:n, 'x', make_timestamptz(:y, :m, 15, 0, 0, 0, 'UTC'), :d, :j)",
            **{"n": n, "y": year, "m": month, "d": department, "j": job},
        )


def quarterly(session: Session, year: int, department: int | None = None) -> list[dict[str, Any]]:
    return list(json.loads(queries.as_json(session, QUARTERLY, Span.YEAR, Scope(year, year, department))))


def quarterly_between(session: Session, first: int, last: int, department: int | None = None) -> list[dict[str, Any]]:
    return list(json.loads(queries.as_json(session, QUARTERLY, Span.RANGE, Scope(first, last, department))))


def top(session: Session, span: Span, first: int, last: int) -> list[dict[str, Any]]:
    return list(json.loads(queries.as_json(session, TOP, span, Scope(first, last))))


def years(session: Session) -> Any:
    return json.loads(queries.as_json(session, YEARS, Span.EVERY, Scope()))["years"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HIRES, RANGES, st.none() | st.integers(1, 5))
def test_a_range_equals_its_years_together(
    database: Database, hires: list[tuple[int, int, int, int]], ends: list[int], department: int | None
) -> None:
    first, last = ends
    with database.session() as session:
        hire(session, hires)
        inside = sorted({year for year, *_ in hires if first <= year <= last})
        each = [{"year": y} | row for y in inside for row in quarterly(session, y, department)]
        assert quarterly_between(session, first, last, department) == each

        hired = Counter(d for year, _, d, _ in hires if first <= year <= last)
        mean = fmean(hired.values()) if hired else None
        above = sorted((d for d, n in hired.items() if mean is not None and n > mean), key=lambda d: (-hired[d], d))
        found = top(session, Span.RANGE, first, last)
        assert [(row["id"], row["hired"]) for row in found] == [(d, hired[d]) for d in above]
        assert queries.mean_hired(session, first, last) == pytest.approx(mean)

        by_year = Counter(year for year, *_ in hires)
        assert years(session) == [{"year": y, "hired": by_year[y]} for y in sorted(by_year, reverse=True)]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HIRES, SOME_YEARS)
def test_a_year_equals_the_range_of_that_year(
    database: Database, hires: list[tuple[int, int, int, int]], year: int
) -> None:
    with database.session() as session:
        hire(session, hires)
        of_range = quarterly_between(session, year, year)
        assert [row.pop("year") for row in of_range] == [year] * len(of_range)
        assert of_range == quarterly(session, year)
        assert top(session, Span.YEAR, year, year) == top(session, Span.RANGE, year, year)


def test_a_year_whose_hires_were_deleted_is_not_listed(database: Database) -> None:
    with database.session() as session:
        hire(session, [(2020, 1, 1, 1), (2021, 1, 1, 1)])
        session.run("DELETE FROM hired_employees WHERE id = 1")
        assert years(session) == [{"year": 2021, "hired": 1}]
        assert queries.mean_hired(session, 2020, 2020) is None


def test_a_far_too_large_report_reads_no_more_rows_than_a_response_can_hold(database: Database) -> None:
    with database.session() as session:
        session.run(
            "INSERT INTO departments SELECT g, 'd' FROM generate_series(1, 120) g;"
            "INSERT INTO jobs SELECT g, 'j' FROM generate_series(1, 120) g;"
            "INSERT INTO quarterly_hires SELECT y, d, j, 1, 1, 1, 1"
            " FROM generate_series(2000, 2009) y, generate_series(1, 120) d, generate_series(1, 120) j"
        )
        with pytest.raises(Unprocessable) as refused:
            quarterly_between(session, 2000, 2009)
        assert all(word in refused.value.detail for word in ("5 MB", "department_id", "from", "to", "narrower range"))
        [[plan]] = session.run(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + queries.limited(QUARTERLY, Span.RANGE), **asdict(Scope(2000, 2009))
        )
        assert plan[0]["Plan"]["Actual Rows"] <= queries.most_rows(QUARTERLY, Span.RANGE) < 10 * 120 * 120
        assert len(quarterly_between(session, 2000, 2009, 1)) == 10 * 120


@pytest.fixture
def hired(api: Api) -> Api:
    api.post("/department/upload/batch", {"data": [{"id": 1, "department": "Staff"}, {"id": 2, "department": "=Ops"}]})
    api.post("/job/upload", {"id": 1, "job": "Clerk"})
    row = {"name": "Ada", "job_id": 1}
    moments = [("2019-12-31T23:30:00-01:00", 1), ("2020-01-01", 2), ("2021-12-31T23:59:59Z", 2), ("2022-01-01", 1)]
    rows = [{**row, "datetime": moment, "department_id": department} for moment, department in moments]
    assert api.post("/hired_employee/upload/batch", {"data": rows}).body["inserted"] == 4
    return api


NONE = {"q1": 0, "q2": 0, "q3": 0, "q4": 0}


def test_the_reports_cover_ranges_of_years(hired: Api) -> None:
    assert hired.get("/department/hires/quarterly?from=2020&to=2021").body == [
        {"year": 2020, "department": "=Ops", "job": "Clerk", **NONE, "q1": 1},
        {"year": 2020, "department": "Staff", "job": "Clerk", **NONE, "q1": 1},
        {"year": 2021, "department": "=Ops", "job": "Clerk", **NONE, "q4": 1},
    ]
    assert hired.get("/department/hires/top?from=2020&to=2021").body == [{"id": 2, "department": "=Ops", "hired": 2}]
    assert hired.get("/department/hires/top").body == []  # both departments hired two, so none is above the mean
    assert hired.get("/department/hires/years").body == {
        "years": [{"year": 2022, "hired": 1}, {"year": 2021, "hired": 1}, {"year": 2020, "hired": 2}]
    }


@pytest.mark.parametrize(
    ("query", "years"),
    [
        ("", [2020, 2020, 2021, 2022]),
        ("?from=2021", [2021, 2022]),
        ("?to=2020", [2020, 2020]),
        ("?from=2021&to=2021", [2021]),
        ("?department_id=1", [2020, 2022]),
        ("?from=2021&department_id=1", [2022]),
        ("?from=1&to=2019", []),
    ],
)
def test_either_end_may_be_left_out(hired: Api, query: str, years: list[int]) -> None:
    assert [row["year"] for row in hired.get(f"/department/hires/quarterly{query}").body] == years


@pytest.mark.parametrize("report", ["quarterly", "top"])
@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("from=2021&to=2020", "`from` must not be later than `to`"),
        ("from=0", "from must be a whole number from 1 to 9999"),
        ("to=10000", "to must be a whole number from 1 to 9999"),
        ("to=", "to must be a whole number from 1 to 9999"),
        ("from=x", "from must be a whole number from 1 to 9999"),
    ],
)
def test_a_malformed_range_is_refused(api: Api, report: str, query: str, detail: str) -> None:
    response = api.get(f"/department/hires/{report}?{query}")
    assert (response.status, response.body["detail"]) == (422, detail)


def test_an_empty_database_has_no_years(api: Api) -> None:
    assert api.get("/department/hires/years").body == {"years": []}
    assert api.get("/department/hires/quarterly").body == api.get("/department/hires/top").body == []


@pytest.mark.parametrize(
    ("path", "name", "rows"),
    [
        (
            "quarterly?from=2021",
            "quarterly-hires-from-2021",
            [
                ["year", "department", "job", "q1", "q2", "q3", "q4"],
                ["2021", "'=Ops", "Clerk", "0", "0", "0", "1"],
                ["2022", "Staff", "Clerk", "1", "0", "0", "0"],
            ],
        ),
        (
            "top?from=2020&to=2021",
            "top-departments-from-2020-to-2021",
            [["id", "department", "hired"], ["2", "'=Ops", "2"]],
        ),
        ("top?to=2019", "top-departments-to-2019", [["id", "department", "hired"]]),
        ("years", "years-with-hires", [["year", "hired"], ["2022", "1"], ["2021", "1"], ["2020", "2"]]),
    ],
)
def test_reports_over_ranges_come_as_csv(hired: Api, path: str, name: str, rows: list[list[str]]) -> None:
    response = hired.send("GET", f"/department/hires/{path}", headers={"Accept": "text/csv"})
    assert list(csv.reader(io.StringIO(response.body, newline=""))) == rows
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'


@pytest.mark.parametrize(("name", "department"), [("apple", "apple"), (" APPLE ", "apple"), ("Émile", "Émile")])
def test_a_department_can_be_named(api: Api, database: Database, name: str, department: str) -> None:
    with database.session() as session:
        hire(session, [(2021, 1, 2, 1), (2021, 1, 4, 1)])
    for path in ("/department/hires/quarterly/2021", "/department/hires/quarterly"):
        response = api.get(f"{path}?{urlencode({'department': name})}")
        assert [row["department"] for row in response.body] == [department]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"department": "Ops"}, "'Ops' is the name of 2 departments: give department_id 1 or 3"),
        ({"department": "apple", "department_id": 1}, "'apple' is not the name of department 1: give department_id 2"),
        ({"department": "appel"}, "there is no department 'appel': similar names are 'apple'"),
        ({"department": "émile"}, "there is no department 'émile': similar names are 'Émile'"),
        ({"department": "mil"}, "there is no department 'mil': similar names are 'Émile'"),
        ({"department": "%_"}, "there is no department '%_'"),
        ({"department": "\0"}, "there is no department ''"),
        ({"department": ""}, "there is no department ''"),
        ({"department": "x" * 500}, f"there is no department '{'x' * 59}…'"),
    ],
)
def test_an_unknown_or_ambiguous_department_name_is_refused(
    api: Api, database: Database, query: dict[str, Any], detail: str
) -> None:
    with database.session() as session:
        hire(session, [(2021, 1, 1, 1)])
    response = api.get(f"/department/hires/quarterly/2021?{urlencode(query)}")
    assert (response.status, response.body["detail"]) == (422, detail)


def test_the_id_selects_one_of_several_departments_with_one_name(api: Api, database: Database) -> None:
    with database.session() as session:
        hire(session, [(2021, 1, 1, 1), (2021, 1, 3, 2)])
    response = api.get("/department/hires/quarterly/2021?department=Ops&department_id=3")
    assert [row["job"] for row in response.body] == ["Z"]
