"""Tests POST /uploads/check. The check of a file reports what a load would report, and writes nothing."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.api.http.requests import MAX_BODY
from chalicelib.cloud.database import Database, Session
from chalicelib.core import deadline
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError, OutOfTime
from chalicelib.core.reasons import NOT_A_DATETIME
from chalicelib.ingest.dryrun import dry_run
from infra.local.postgres import Postgres
from infra.local.provision import Role, connect
from tests import values
from tests.integration.checked import COUNTS, assert_same, checked
from tests.integration.http_api import Api, Response
from tests.integration.landing import Landing, counts
from tests.rows import example, insert, insert_parents
from tests.tables import TABLES

EMPLOYEES, JOBS = DATASETS["hired_employees"], DATASETS["jobs"]
FILE = (
    "1,Ann,2021-07-27T16:02:08Z,1,1\n2,,soon,9,1\n\n3,Bo,2021-01-01,9,8\n4,Cy,2021-01-01,1,9\n1,Eve,2021-02-02,1,1\n"
    '5,"Di\nDa",2021-01-01,9,1\nx\n'
)


def fill(session: Session) -> None:
    session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")


def check(api: Api, body: bytes | str, media_type: str = "text/csv", query: str = "dataset=jobs") -> Response:
    data = body.encode() if isinstance(body, str) else body
    return api.send("POST", f"/uploads/check?{query}", data, {"Content-Type": media_type})


# --- A check agrees with a load

IDS = st.integers(1, 6).map(str)
NAMES = st.sampled_from(["Ann", "Bo"])
INSTANTS = st.just("2021-07-27T16:02:08Z")
CLEAN = {"integer": IDS, "text": NAMES, "timestamptz": INSTANTS}
FIELDS = {
    "integer": IDS | st.sampled_from([" 2 ", "0", "x", "", "2147483647"]),
    "text": NAMES | st.sampled_from([' "B" ', "", "two\nlines", "J\u00f3", "a,b", "\0"]),
    "timestamptz": INSTANTS | st.sampled_from(["2021-07-27", "2021-07-27T18:02:08+02:00", "soon", ""]),
}
JUNK = st.sampled_from([b"", b"x", b"1,2,3,4,5,6", b'3,"open', b"4,\xff\xfe", b'5,a"b', b" ,", b"id,job", b"7,\xe9"])


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set('",\n') else text


def clean(column: Column) -> st.SearchStrategy[str]:
    """Generate valid values, and the value that the stored rows have."""
    return CLEAN.get(values.type_of(column.kind), values.sent(column.kind)) | st.just(str(column.example))


def field(column: Column) -> st.SearchStrategy[str]:
    return FIELDS.get(values.type_of(column.kind), clean(column) | values.doubtful(column.kind) | st.just(""))


def line(dataset: Dataset, of_column: Callable[[Column], st.SearchStrategy[str]]) -> st.SearchStrategy[bytes]:
    return st.tuples(*map(of_column, dataset.columns)).map(lambda row: ",".join(map(quoted, row)).encode())


def files(dataset: Dataset) -> st.SearchStrategy[bytes]:
    lines = st.lists(line(dataset, clean) | line(dataset, field) | JUNK, max_size=12)
    return st.builds(lambda found, end: end.join(found) + end, lines, st.sampled_from([b"\n", b"\r\n"]))


SOME = st.sets(st.integers(1, 6), max_size=5)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda d: d.name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_check_reports_what_the_load_of_the_same_file_then_does(
    landing: Landing, dataset: Dataset, data: st.DataObject
) -> None:
    with landing.database.session() as session:
        session.run(f"TRUNCATE {TABLES}, loads, orphans CASCADE")
        ids = data.draw(SOME, "parents")
        insert_parents(session, dataset, ids)
        if ids or not dataset.references:
            insert(
                session, dataset, [example(dataset, row_id, min(ids, default=1)) for row_id in data.draw(SOME, "rows")]
            )
    body, limit = data.draw(files(dataset), "file"), data.draw(st.integers(1, 12), "limit")
    zipped = data.draw(st.booleans(), "zipped")
    outcome = checked(landing, dataset, gzip.compress(body) if zipped else body, limit=limit)
    load = landing.upload(f"{dataset.name}.csv{'.gz' if zipped else ''}", body)
    assert_same(landing, outcome, load, limit=limit)


@pytest.mark.parametrize("rows", [0, 20_000])
def test_every_path_of_a_merge_is_counted(landing: Landing, rows: int) -> None:
    """Only new rows after the largest id, only new rows in an empty table, and a mixture of all cases."""
    with landing.database.session() as session:
        fill(session)
        session.run(
            f"INSERT INTO hired_employees SELECT g, 'Ann', '2021-07-27', 1, 1 FROM generate_series(1, {rows}) g"
        )
    for first in (rows + 1, rows // 2 + 1):
        body = "".join(f"{i},Ann,2021-07-27,{1 + i % 7 // 6},1\n" for i in range(first, first + 20_000)) + FILE
        outcome = dry_run(landing.database, EMPLOYEES, body.encode(), limit=5)
        load = landing.upload("hired_employees.csv", body)
        assert counts(load) == tuple(vars(outcome.counts)[name] for name in COUNTS)
        assert outcome.counts.rejected > 2000
        assert len(outcome.rejects) == 5


# --- A check writes nothing

STATE = (*DATASETS, "loads", "orphans", "dataset_state", "quarterly_hires", "tokens")


def everything(database: Database) -> list[Any]:
    with database.session() as session:
        tables: list[Any] = [session.run(f'SELECT * FROM "{name}" ORDER BY 1, 2') for name in STATE]
        sequences = session.run("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")
        left = session.run("SELECT relname FROM pg_class WHERE relpersistence = 't'")
        return [*tables, sequences, left]


def test_a_check_changes_nothing(landing: Landing) -> None:
    with landing.database.session() as session:
        fill(session)
    landing.upload("hired_employees.csv", FILE)
    before, calls = everything(landing.database), len(landing.s3.calls)
    # A connection keeps these tables for files.
    kept = {name for [name] in before[-1] if name.startswith("_kept_")}
    assert kept == {"_kept_staging", "_kept_staging_seq_seq", "_kept_missing"}
    outcome = dry_run(landing.database, EMPLOYEES, FILE.replace("Ann", "Al").encode(), limit=1)
    assert outcome.counts.rejected == 5
    assert everything(landing.database) == before
    with pytest.raises(LoadError):
        dry_run(landing.database, EMPLOYEES, b"\x1f\x8bno gzip", limit=1)
    assert everything(landing.database) == before
    assert len(landing.s3.calls) == calls


@pytest.fixture
def looker(postgres: Postgres, landing: Landing) -> Iterator[Database]:
    """Return a database to which the test logs in with a role that may only read the datasets."""
    with closing(connect(postgres.superuser_url)) as admin:
        admin.run("CREATE ROLE looker LOGIN PASSWORD 'l'")
    with landing.database.session() as session:
        session.run(f"GRANT SELECT ON {TABLES} TO looker")
    database = Database(Role("looker", "l").url("127.0.0.1", postgres.port() or 0), tls="disable")
    yield database
    database.close()
    with landing.database.session() as session:
        session.run(f"REVOKE ALL ON {TABLES} FROM looker")
    with closing(connect(postgres.superuser_url)) as admin:
        admin.run("DROP ROLE looker")


def test_a_check_needs_only_the_right_to_read(landing: Landing, looker: Database) -> None:
    with landing.database.session() as session:
        fill(session)
    outcome = dry_run(looker, EMPLOYEES, FILE.encode(), limit=9)
    assert tuple(vars(outcome.counts).values()) == (7, 1, 0, 0, 1, 5)


class Watching(Database):
    """Records, before every statement, the locks on our tables and whether the transaction is read-only."""

    def __init__(self, url: str) -> None:
        super().__init__(url, tls="disable")
        self.seen: list[list[Any]] = []

    @contextmanager
    def session(self) -> Iterator[Session]:
        with super().session() as plain:
            yield _Watched(plain, self.seen)


class _Watched(Session):
    def __init__(self, session: Session, seen: list[list[Any]]) -> None:
        self.__dict__ = session.__dict__
        self._seen = seen

    def _guarded(self, call: Any) -> Any:
        self._seen += super()._guarded(
            lambda: self._connection.run(
                "SELECT c.relname, l.mode, current_setting('transaction_read_only') FROM pg_locks l"
                " JOIN pg_class c ON c.oid = l.relation"
                " WHERE l.pid = pg_backend_pid() AND c.relpersistence = 'p' AND c.relnamespace = 'public'::regnamespace"
            )
        )
        return super()._guarded(call)


def test_a_check_takes_no_lock_that_blocks_others(landing: Landing, database_url: str) -> None:
    with landing.database.session() as session:
        fill(session)
    watching = Watching(database_url)
    dry_run(watching, EMPLOYEES, FILE.encode(), limit=9)
    watching.close()
    names = {name for name, *_ in watching.seen}
    assert {EMPLOYEES.name, *(parent for _, parent in EMPLOYEES.references)} <= names
    assert {tuple(more) for _, *more in watching.seen} == {("AccessShareLock", "on")}


def test_a_check_does_not_wait_for_writers(landing: Landing, database_url: str) -> None:
    with landing.database.session() as session:
        fill(session)
    other = Database(database_url, tls="disable")
    with other.transaction() as session, deadline.within(5):
        session.run(f"LOCK TABLE {TABLES} IN SHARE ROW EXCLUSIVE MODE")
        session.run(
            "UPDATE departments SET department = 'Not yet'; DELETE FROM jobs; INSERT INTO jobs VALUES (9, 'New')"
        )
        outcome = dry_run(landing.database, EMPLOYEES, FILE.encode(), limit=9)
    other.close()
    assert [reason for reason in outcome.reasons if "exist" in reason["reason"]] == [
        {"reason": "department_id does not exist", "code": "unknown_parent", "count": 3},
        {"reason": "job_id does not exist", "code": "unknown_parent", "count": 2},
    ]


# --- Over HTTP


def test_the_response_has_counts_reasons_and_the_first_rejects(api: Api, database: Database) -> None:
    with database.session() as session:
        fill(session)
    response = check(api, FILE, query="dataset=hired_employees&limit=2")
    assert response.status == 200
    described = ("dataset", "status", "error", "format", "notices")
    assert list(response.body) == [*described, *COUNTS, "waiting", "reasons", "rejects", "truncated"]
    assert (response.body["status"], response.body["error"], response.body["waiting"]) == ("succeeded", None, 3)
    assert [response.body[name] for name in ("dataset", *COUNTS)] == ["hired_employees", 7, 1, 0, 0, 1, 5]
    assert response.body["reasons"] == [
        {"reason": "department_id does not exist", "code": "unknown_parent", "count": 3},
        {"reason": "job_id does not exist", "code": "unknown_parent", "count": 2},
        {"reason": f"datetime {NOT_A_DATETIME}", "code": "not_a_datetime", "count": 1},
        {"reason": "expected 5 fields, found fewer", "code": "wrong_field_count", "count": 1},
        {"reason": "name is missing", "code": "missing", "count": 1},
    ]
    assert response.body["rejects"] == [
        {
            "line": 2,
            "reasons": [
                "name is missing",
                f"datetime {NOT_A_DATETIME}",
                "department_id 9 does not exist",
            ],
            "fields": ["name", "datetime", "department_id"],
            "codes": ["missing", "not_a_datetime", "unknown_parent"],
            "raw": "2,,soon,9,1",
            "row": {"id": "2", "name": "", "datetime": "soon", "department_id": "9", "job_id": "1"},
        },
        {
            "line": 9,
            "reasons": ["expected 5 fields, found 1"],
            "fields": [],
            "codes": ["wrong_field_count"],
            "raw": "x",
            "row": None,
        },
    ]
    assert response.body["truncated"] is False


@pytest.mark.parametrize("media_type", ["text/csv", "TEXT/CSV; charset=utf-8; header=absent", "text/csv;"])
def test_the_media_type_of_csv_may_be_spelt_in_several_ways(api: Api, media_type: str) -> None:
    assert check(api, "1,Clerk\n", media_type).body["inserted"] == 1


@pytest.mark.parametrize("media_type", ["application/gzip", "application/octet-stream"])
def test_a_gzip_file_is_checked(api: Api, media_type: str) -> None:
    assert check(api, gzip.compress(b"1,Clerk\n,x\n"), media_type).body["inserted"] == 1
    assert check(api, "1,Clerk\n", media_type).body["inserted"] == 1
    refused = check(api, b"\x1f\x8b1,Clerk\n", media_type)
    assert refused.status == 422
    assert "not a valid gzip file" in refused.body["detail"]
    assert "truncated" in check(api, gzip.compress(b"1,Clerk\n")[:-5], media_type).body["detail"]
    # The check of a broken file has closed the connection. The next check opens a new one.
    assert check(api, "2,Smith\n").body["inserted"] == 1


def test_a_gzip_bomb_is_refused(api: Api) -> None:
    bomb = gzip.compress(b"1,Clerk\n" + b"\n" * (20 * 1024 * 1024), 9)
    response = check(api, bomb, "application/gzip")
    assert response.status == 422
    assert "unpacks to more than" in response.body["detail"]


@pytest.mark.parametrize("body", ["", "\n\n", "id,job\n", "\ufeff"])
def test_an_empty_file_has_no_rows(api: Api, body: str) -> None:
    response = check(api, body)
    assert [response.body[name] for name in COUNTS] == [0] * 6
    assert (response.body["reasons"], response.body["rejects"]) == ([], [])


@pytest.mark.parametrize("media_type", ["application/json", "", "text/plain", "*/*", "text/csv, application/gzip"])
def test_a_body_of_another_media_type_is_refused(api: Api, media_type: str) -> None:
    response = check(api, "1,Clerk\n", media_type)
    assert response.status == 415
    assert "text/csv or application/gzip" in response.body["detail"]


def test_gzip_as_a_content_encoding_is_refused(api: Api) -> None:
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    response = api.send("POST", "/uploads/check?dataset=jobs", gzip.compress(b"1,Clerk\n"), headers)
    assert response.status == 415
    assert "send gzip as application/gzip" in response.body["detail"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "dataset must be given"),
        ("limit=5", "dataset must be given"),
        ("dataset=job", f"dataset must be one of {', '.join(DATASETS)}"),
        ("dataset=jobs&limit=0", "limit must be"),
        ("dataset=jobs&limit=101", "limit must be"),
    ],
)
def test_the_query_is_checked(api: Api, query: str, detail: str) -> None:
    response = check(api, "1,Clerk\n", query=query)
    assert response.status == 422
    assert detail in response.body["detail"]


def test_a_body_that_is_too_large_for_lambda_is_refused(api: Api) -> None:
    lines = b"1,Clerk\n" * (MAX_BODY // 8 + 1)
    response = check(api, lines)
    assert response.status == 413
    assert "at most 4.5 MB" in response.body["detail"]
    assert "application/gzip" in response.body["detail"]
    assert check(api, lines[:MAX_BODY]).body["received"] == MAX_BODY // 8
    assert check(api, gzip.compress(lines), "application/gzip").body["received"] == MAX_BODY // 8 + 1


def test_a_check_that_takes_too_long_is_a_504(landing: Landing) -> None:
    body = gzip.compress("".join(f'{i},"Clerk {i}"\n' for i in range(1, 400_000)).encode())
    with pytest.raises(OutOfTime), deadline.within(0.5):
        dry_run(landing.database, JOBS, body, limit=1)
    assert dry_run(landing.database, JOBS, b"1,Clerk\n", limit=1).counts.inserted == 1


@pytest.mark.parametrize("row", [b'1,"%s"', b"\xff%s"])
def test_a_response_fits_into_the_limit_of_lambda(api: Api, row: bytes) -> None:
    wide = b'""' * 100_000 if b'"' in row else b"\xff" * 300_000
    body = b"\n".join([row % wide] * 14)
    response = api.client.http.request(
        "POST", "/uploads/check?dataset=jobs&limit=20", headers={"Content-Type": "text/csv"}, body=body
    )
    shown = json.loads(response.body)
    assert shown["rejected"] == 14
    assert 0 < len(shown["rejects"]) < 14
    assert shown["truncated"] is True
    assert len(json.dumps(response.body.decode())) < 6_000_000


# --- Declarations


def test_declarations_are_parameters_of_a_check(api: Api) -> None:
    body = "1;Caf\xe9\n2;B\xe4cker\nx;Clerk\n".encode("windows-1252")
    query = "dataset=jobs&encoding=windows-1252&delimiter=semicolon&max-rejected=0"
    found = check(api, body, "application/octet-stream", query).body
    assert (found["status"], found["received"], found["rejected"], found["inserted"]) == ("failed", 3, 1, 0)
    assert found["error"].startswith("1 of 3 rows were rejected, more than max-rejected=0 allows: id is not")
    assert found["format"]["encoding"] == "windows-1252"
    assert check(api, body, query=query.replace("=0", "=34%25")).body["inserted"] == 2


@pytest.mark.parametrize("declared", ["encoding=klingon", "delimiter=x", "dates=ymd", "max-rejected=-1", "dates="])
def test_an_unknown_declaration_is_refused(api: Api, declared: str) -> None:
    refused = check(api, "1,Clerk\n", query=f"dataset=jobs&{declared}")
    assert refused.status == 422
    assert refused.body["detail"].startswith(declared.partition("=")[0])
