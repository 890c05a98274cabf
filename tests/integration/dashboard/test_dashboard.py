"""Tests the page and the panels of the dashboard inside the test process, without a browser. Postgres is real."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from chalicelib.api.dashboard_routes import NAMES
from chalicelib.auth.tokens import create
from chalicelib.backups.run import run_backup
from chalicelib.backups.verify import verify_point
from chalicelib.cloud.database import Database, Session
from chalicelib.core import declarations
from chalicelib.dashboard import figures, panels, report_panel
from chalicelib.ingest.file_names import ENDINGS
from chalicelib.services import services
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.faulty_postgres import read_only
from tests.integration.http_api import Api, Response
from tests.integration.landing import Landing
from tests.integration.s3_fixtures import S3

HOSTILE = "<img src=x onerror=alert(1)>&\"'"


class Marked(HTMLParser):
    """Parses HTML, and collects the values in charts. `values` has the label and value of every bar, by the class of
    the bar."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, list[tuple[str, int]]] = {}
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        if "data-label" in found:
            label, value = str(found["data-label"]), int(str(found["data-value"]))
            self.values.setdefault(str(found["class"]), []).append((label, value))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def filled(api: Api) -> Api:
    api.post("/department/upload/batch", {"data": [{"id": i, "department": f"D{i}"} for i in (1, 2, 3)]})
    api.post("/job/upload", {"id": 1, "job": HOSTILE})
    months = {1: (1, 2, 3, 4, 5, 12), 2: (7, 8), 3: (12,)}
    rows = [(department, month) for department, found in months.items() for month in found]
    api.post(
        "/hired_employee/upload/batch",
        {
            "data": [
                {"id": i, "name": "N", "datetime": f"2021-{month:02}-01", "department_id": department, "job_id": 1}
                for i, (department, month) in enumerate(rows, 1)
            ]
        },
    )
    return api


def panel(api: Api, name: str) -> Marked:
    response = api.get(f"/dashboard/{name}")
    assert response.status == 200, response.body
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    return Marked(response.body)


def test_the_page_is_public_and_its_policy_limits_what_it_loads(api: Api) -> None:
    response = api.get("/")
    assert response.status == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert 'data-authentication="off"' in response.body


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("load", "restore")])
def test_every_panel_works_on_an_empty_database(api: Api, name: str) -> None:
    assert "h1" in panel(api, name).tags


def test_the_charts_show_the_values_of_the_reports(filled: Api) -> None:
    shown = panel(filled, "reports")
    report = filled.get("/department/hires/quarterly/2021").body
    assert shown.values["column"] == [(q.upper(), sum(row[q] for row in report)) for q in ("q1", "q2", "q3", "q4")]
    top = filled.get("/department/hires/top/2021").body
    assert shown.values["bar"] == [(row["department"], row["hired"]) for row in top] == [("D1", 6)]
    narrowed = panel(filled, "reports?department_id=2&from=2021&to=2021")
    assert narrowed.values["column"] == [("Q1", 0), ("Q2", 0), ("Q3", 2), ("Q4", 0)]
    assert not {"img", "script"} & shown.tags
    assert HOSTILE in "".join(shown.texts)


class Counting(Database):
    """A database that counts its transactions."""

    transactions = 0

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[Session]:
        self.transactions += 1
        with super().transaction(begin) as session:
            yield session


def test_the_panel_of_reports_is_made_once_for_each_state_of_the_datasets(filled: Api, database_url: str) -> None:
    services().database.close()
    vars(services())["database"] = database = Counting(database_url, tls="disable")
    paths = [f"/dashboard/reports{query}" for query in ("", "?department_id=1", "?from=2020", "?from=2020&to=2021")]
    first = [filled.get(path).body for path in paths]
    assert len({*first}) == database.transactions == len(paths)
    assert [filled.get(path).body for path in paths] == first
    assert database.transactions == len(paths)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/department/upload", {"id": 1, "department": "Renamed"}),
        ("/job/upload", {"id": 1, "job": "Renamed"}),
        ("/hired_employee/upload", {"id": 1, "name": "N", "datetime": "2019-01-01", "department_id": 1, "job_id": 1}),
    ],
)
def test_the_panel_of_reports_shows_each_change_at_once(filled: Api, path: str, body: dict[str, object]) -> None:
    paths = [f"/dashboard/reports{query}" for query in ("", "?department_id=1", "?from=2019&to=2021")]
    before = [filled.get(shown).body for shown in paths]
    assert [filled.get(shown).body for shown in paths] == before
    filled.post(path, body)
    after = [filled.get(shown).body for shown in paths]
    assert all(old != new for old, new in zip(before, after, strict=True))
    services().database.close()  # the next request opens a new connection, for which nothing is kept
    assert [filled.get(shown).body for shown in paths] == after


def test_years_are_chosen_in_any_order(filled: Api) -> None:
    assert "Hires in 2020 to 2021" in "".join(panel(filled, "reports?from=2020&to=2021").texts)
    assert "Hires in 2022" in "".join(panel(filled, "reports?from=2022&to=2021").texts)
    assert "Hires in 2020" in "".join(panel(filled, "reports?to=2020").texts)


def test_a_long_report_is_truncated_with_a_note(filled: Api) -> None:
    def say() -> str:
        return " ".join("".join(panel(filled, "reports").texts).split())

    missing = report_panel.MAX_ROWS - len(filled.get("/department/hires/quarterly/2021").body)
    jobs = [{"id": 100 + i, "job": f"J{i}"} for i in range(missing + 1)]
    hires = [{"name": "N", "datetime": "2021-01-01", "department_id": 1, "job_id": job["id"]} for job in jobs]
    filled.post("/job/upload/batch", {"data": jobs})
    filled.post("/hired_employee/upload/batch", {"data": hires[:-1]})
    assert "These are the first" not in say()
    filled.post("/hired_employee/upload", hires[-1])
    assert f"These are the first {report_panel.MAX_ROWS} rows." in say()


def test_loads_are_shown_in_pages(filled: Api) -> None:
    for _ in range(panels.PAGE - 2):
        filled.post("/job/upload", {"id": 1, "job": "again"})
    html = filled.get("/dashboard/loads").body
    newest = panels.PAGE + 1
    assert re.findall(r'data-load="(\d+)"', html) == [str(i) for i in range(newest, 1, -1)]
    [cursor] = re.findall(r"#/loads\?cursor=(\d+)", html)
    older = filled.get(f"/dashboard/loads?cursor={cursor}").body
    assert re.findall(r'data-load="(\d+)"', older) == ["1"]
    assert "cursor=" not in older
    assert re.findall(r'data-load="(\d+)"', filled.get("/dashboard/loads?dataset=hired_employees").body) == ["3"]
    filtered = filled.get("/dashboard/loads?source=job%2F%26up&dataset=jobs").body
    assert 'value="job/&amp;up"' in filtered
    for _ in range(panels.PAGE):
        filled.post("/job/upload", {"id": 1, "job": "again"})
    filtered = filled.get("/dashboard/loads?source=job%2Fup&dataset=jobs").body
    assert re.findall(r"#/loads\?cursor=\d+&amp;([^\"]*)", filtered) == ["dataset=jobs&amp;source=job%2Fup"]


def test_a_load_is_shown_with_its_counts(landing: Landing, api: Api) -> None:
    load = landing.upload("departments.csv", b"1,A\n2,B\n2,C\n,D\n")
    shown = panel(api, f"load?id={load['id']}")
    assert dict(value for values in shown.values.values() for value in values) == {
        "inserted": 2,
        "superseded": 1,
        "rejected": 1,
    }
    assert "data-refresh" in api.get(f"/dashboard/load?id={load['id']}").body


def test_the_open_rejects_of_a_load_can_be_chosen_by_code_and_downloaded(landing: Landing, api: Api) -> None:
    load = landing.upload("departments.csv", b"1,A\n2,\nx,D\n3,\n")
    landing.upload("departments_2.csv", b"3,C\n")
    html = api.get(f"/dashboard/load?id={load['id']}").body
    assert re.findall(r'<tr><td class="n">(\d+)</td>', html) == ["2", "3"]
    assert re.findall("<option>([a-z_]+)</option>", html) == ["missing", "not_an_id"]
    assert "1 of these rows were loaded later" in html
    html = api.get(f"/dashboard/load?id={load['id']}&code=not_an_id").body
    assert re.findall(r'<tr><td class="n">(\d+)</td>', html) == ["3"]
    assert f'href="loads/{load["id"]}/rejects?code=not_an_id" data-download="departments-rejects.csv"' in html
    assert "No rows are left to be corrected" in api.get(f"/dashboard/load?id={load['id']}&code=nul").body


def test_a_large_table_is_not_counted_row_by_row(filled: Api, database: Database, postgres: Postgres) -> None:
    name = postgres.url.rpartition("/")[2]
    with database.session() as session, connect(f"{postgres.superuser_url.rpartition('/')[0]}/{name}") as admin:
        assert figures.rows(session, "departments") == (3, True)
        # The planner's estimate of the number of rows is now too large.
        admin.run("UPDATE pg_class SET reltuples = 20000000 WHERE oid = 'departments'::regclass")
        assert figures.rows(session, "departments") == (20_000_000, False)
        admin.run("ANALYZE departments")
        assert figures.rows(session, "departments") == (3, True)


def test_restore_points_show_when_they_were_verified(filled: Api, database: Database, s3: S3) -> None:
    point = run_backup(database, s3.storage, retention=timedelta(days=30)).restore_point
    assert "not yet" in "".join(panel(filled, "backups").texts)
    verify_point(s3.storage.backup)
    [listed] = filled.get("/backups").body["backups"]
    assert listed["restore_point"] == point
    html = filled.get("/dashboard/backups").body
    assert "not yet" not in html
    assert f'datetime="{listed["verified_at"]}"' in html


def test_a_missing_load_or_restore_point_is_a_404_as_in_the_api(api: Api) -> None:
    assert api.get("/dashboard/nothing").status == 404
    assert api.get("/dashboard/load?id=12345").status == 404
    assert api.get("/dashboard/load").status == 422
    assert api.get("/dashboard/restore?point=20210727T160208.123456Z").status == 404
    assert api.get("/dashboard/loads?status=lost").status == 422


def test_actions_that_the_role_forbids_are_not_offered(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.session() as session:
        tokens = {role: create(session, role)["token"] for role in ("reader", "writer", "operator")}
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services().database.close()
    services.cache_clear()

    def seen(role: str, path: str) -> Response:
        return api.send("GET", path, headers={"Authorization": f"Bearer {tokens[role]}"})

    assert api.get("/").status == 200
    assert api.get("/dashboard/reports").status == 401
    assert 'id="files"' not in seen("reader", "/dashboard/upload").body
    assert 'id="files"' in seen("writer", "/dashboard/upload").body
    assert ">reader<" in seen("reader", "/dashboard/upload").body
    assert seen("reader", "/dashboard/reports").status == 200


def test_the_panel_of_a_load_shows_how_its_file_was_read_and_what_waits(api: Api, landing: Landing) -> None:
    body = "ID;Name;Datetime;Dept ID;Job ID;Note\n1;NULL;2021-07-27;1;1;x\nx;Bo;2021-07-27;1;1;y\n"
    load = landing.upload("hired_employees.csv", body)
    texts = " ".join(panel(api, f"load?id={load['id']}").texts)
    assert "CSV, separated by semicolons, in UTF-8, with a header, ignored columns: Note" in texts
    assert load["notices"][0] in texts
    assert (
        "1 of these rows wait for their department or job. A row is loaded when these exist. Rows to be corrected: 1."
        in texts
    )
    assert "1 waiting" in panel(api, "loads?kind=csv").texts
    failed = landing.upload("jobs.csv", b"1,Caf\xe9\n")
    assert failed["error"] in panel(api, f"load?id={failed['id']}").texts


def test_the_panel_of_uploads_offers_the_endings_and_the_declarations(api: Api) -> None:
    html = api.get("/dashboard/upload").body
    [accepted] = re.findall(r' accept="([^"]*)"', html)
    assert {*ENDINGS} <= {*accepted.split(",")}
    assert re.findall(r'name="([^"]*)"', html) == list(declarations.NAMES)
    for values in (declarations.ENCODINGS, declarations.DELIMITERS):
        assert all(f"<option>{name}</option>" in html for name in values)


def test_the_health_panel_says_why_the_database_does_not_work(postgres: Postgres, api: Api) -> None:
    services().database.close()
    with read_only(postgres):
        html = api.get("/dashboard/health").body
    services().database.close()
    assert "something is unavailable" in html
    assert '<span class="badge failed">unavailable</span> <span class="note">the database is read-only now' in html
    assert "read-only" not in api.get("/dashboard/health").body
