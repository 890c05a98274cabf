"""Tests that many anonymous callers of /health cause few queries, and that callers with a token see the current
state."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from chalicelib.cloud.database import Database, Session
from chalicelib.core.errors import DatabaseUnavailable
from chalicelib.monitoring.readiness import Readiness
from chalicelib.services import services
from infra.local.postgres import Postgres
from tests.integration.api.test_access import guarded, send, token
from tests.integration.faulty_postgres import read_only, without_room
from tests.integration.http_api import Api
from tests.integration.s3_fixtures import S3

__all__ = ["guarded"]  # the imported fixture is used by its name


class Counting(Database):
    """A database that counts its sessions. While `away` is true, it cannot be reached."""

    def __init__(self, url: str) -> None:
        super().__init__(url, tls="disable")
        self.sessions, self.away = 0, False

    @contextmanager
    def session(self) -> Iterator[Session]:
        self.sessions += 1
        if self.away:
            raise DatabaseUnavailable("away")
        with super().session() as session:
            yield session


@dataclass
class Stage:
    """A stage with authentication. `seconds` is the time of the clock that Readiness uses."""

    api: Api
    s3: S3
    database: Counting
    seconds: float = 1000.0

    def get(self, authorization: str | None = None, method: str = "GET") -> int:
        return send(self.api, method, "/health", authorization).status


def keep_time(stage: Stage) -> None:
    """Let the service use the database and the clock of the stage."""
    letters = services().measured_queue
    vars(services())["readiness"] = Readiness(stage.database, stage.s3.storage, letters, lambda: stage.seconds)


@pytest.fixture
def stage(guarded: Api, s3: S3, database_url: str) -> Stage:
    stage = Stage(guarded, s3, Counting(database_url))
    services().database.close()
    vars(services())["database"] = stage.database
    keep_time(stage)
    return stage


def test_many_anonymous_callers_cause_one_query(stage: Stage) -> None:
    assert {stage.get(method=method) for _ in range(100) for method in ("GET", "HEAD")} == {200}
    assert stage.database.sessions == 1
    assert [name for name, _ in stage.s3.calls] == ["HeadBucket"] * 3
    stage.seconds += 4.9
    stage.get()
    assert stage.database.sessions == 1
    stage.seconds += 0.2
    stage.get()
    assert stage.database.sessions == 2


def test_an_invalid_token_does_not_run_the_checks_again(stage: Stage) -> None:
    assert {stage.get("Bearer hf_nonsense") for _ in range(20)} == {200}
    assert stage.database.sessions == 1 + 20  # the token is looked up for each request
    assert len(stage.s3.calls) == 3


def test_callers_with_a_token_see_the_current_state(stage: Stage) -> None:
    reader = f"Bearer {token('reader')}"
    assert (stage.get(), stage.get(reader)) == (200, 200)
    stage.database.away = True
    assert stage.get() == 200  # the last result, which is kept in memory
    assert stage.get(reader) == 503
    assert stage.get() == 503  # the request with a token has updated the last result
    stage.database.away = False
    assert stage.get() == 503
    assert stage.get(reader) == 200
    assert stage.get() == 200


def test_an_anonymous_caller_sees_the_end_of_an_outage_after_five_seconds(stage: Stage) -> None:
    stage.database.away = True
    assert stage.get() == 503
    stage.database.away = False
    assert stage.get() == 503
    stage.seconds += 5.1
    assert stage.get() == 200


def test_a_caller_with_a_token_sees_why_the_database_does_not_work(postgres: Postgres, guarded: Api) -> None:
    reader = f"Bearer {token('reader')}"
    services().database.close()
    with read_only(postgres):
        shown = send(guarded, "GET", "/health", reader)
        anonymous = send(guarded, "GET", "/health", None)
    assert (shown.status, shown.body["database"]) == (503, "unavailable")
    assert shown.body["detail"] == "the database is read-only now"
    assert (anonymous.status, anonymous.body) == (503, {"status": "unavailable"})
    services().database.close()
    assert send(guarded, "GET", "/health", reader).status == 200


def test_a_caller_with_a_token_sees_that_there_is_no_free_connection(postgres: Postgres, guarded: Api) -> None:
    reader = f"Bearer {token('reader')}"
    services().database.close()
    with without_room(postgres, postgres.role):
        shown = send(guarded, "GET", "/health", reader)
        anonymous = send(guarded, "GET", "/health", None)
        refused = send(guarded, "GET", "/loads", reader)
    sentence = "the database accepts no more connections now"
    assert (shown.status, shown.body) == (503, {"status": "unavailable", "detail": sentence})
    assert (anonymous.status, anonymous.body) == (503, {"status": "unavailable"})
    assert (refused.status, refused.body["detail"], refused.headers["Retry-After"]) == (503, sentence, "5")


def test_while_no_connection_is_free_the_checks_run_once_for_a_request(stage: Stage) -> None:
    stage.database.away = True
    assert stage.get("Bearer hf_any") == 503
    assert stage.database.sessions == 1


def test_a_token_that_cannot_be_looked_up_in_time_makes_nobody_wait_and_nothing_unhealthy(
    stage: Stage, database_url: str
) -> None:
    assert stage.get() == 200
    other = Database(database_url, tls="disable")
    with other.transaction() as blocker:
        blocker.run("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        shown = send(stage.api, "GET", "/health", "Bearer hf_any")
        assert time.monotonic() - began < 5
    other.close()
    assert (shown.status, shown.body) == (200, {"status": "ok"})
    assert stage.get() == 200


def test_without_authentication_the_checks_are_repeated_after_five_seconds_or_an_outage(
    api: Api, s3: S3, database_url: str
) -> None:
    stage = Stage(api, s3, Counting(database_url))
    vars(services())["database"] = stage.database
    keep_time(stage)
    shown = [send(api, "GET", "/health", None)]
    calls = len(s3.calls)
    shown += [send(api, "GET", "/health", None) for _ in range(5)]
    assert {(each.status, each.body["database"], each.body["dead_letters"]) for each in shown} == {(200, "ok", None)}
    assert [name for name, _ in s3.calls].count("HeadBucket") == 3
    assert len(s3.calls) == calls  # the last backup is not read again
    stage.database.away = True
    stage.seconds += 5.1
    assert stage.get() == 503
    stage.database.away = False
    assert stage.get() == 200
