"""Tests that the end of a load writes exactly one message to the outbox, in the transaction of the load. This holds for
every way in which a load can end."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from chalicelib.backups.restore import order_restore
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadGivenUp
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.rows import SentRows, upload
from chalicelib.loads import announcements, claims
from chalicelib.migrations.migrate import upgrade
from chalicelib.outbox import load_events
from chalicelib.recovery import upkeep
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.ingest.test_continuing import Relay
from tests.integration.landing import GRACE, Landing

Ends = list[tuple[str, str | None, int, int]]  # the status, the dataset, and the counts received and rejected


def ends(landing: Landing) -> list[Any]:
    """Return the messages of the outbox. Check that the event of each message is valid against the schema of events."""
    found = [body for [body] in landing.rows("SELECT body FROM outbox ORDER BY id")]
    for body in found:
        detail = load_events.detail(body, "local", "https://api.example.com/api")
        faults = Draft202012Validator(load_events.schema(), format_checker=FormatChecker()).iter_errors(detail)
        assert [fault.message for fault in faults] == []
        load = landing.load(body["load_id"])
        assert {name: detail[name] for name in ("source", "kind")} == {name: load[name] for name in ("source", "kind")}
    return found


def summary(landing: Landing) -> Ends:
    return [(body["status"], body["dataset"], body["received"], body["rejected"]) for body in ends(landing)]


def send(landing: Landing, *rows: dict[str, Any]) -> None:
    upload(landing.database, landing.s3.storage, SentRows(DATASETS["departments"], list(rows), "api"), grace=GRACE)


def load_file(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n2,\n")


def load_a_row(landing: Landing) -> None:
    send(landing, {"department": "Sales"})


def load_a_batch(landing: Landing) -> None:
    send(landing, {"department": "Sales"}, {"department": ""})


def fail_by_verdict(landing: Landing) -> None:
    landing.upload("departments.csv", "1,\n")


def fail_for_an_unknown_dataset(landing: Landing) -> None:
    landing.upload("holidays.csv", "1,\n")


def skip_an_old_version(landing: Landing) -> None:
    old, new = landing.put("departments.csv", "1,Old\n"), landing.put("departments.csv", "1,New\n")
    landing.deliver(new)
    landing.deliver(old)


def give_up(landing: Landing) -> None:
    landing.give_up(landing.put("departments.csv", "1,Sales\n"))


def hand_over(landing: Landing) -> None:
    Relay(landing).run(landing.put("departments.csv", "1,Sales\n2,Field\n3,\n"))


def cancel(landing: Landing) -> None:
    with landing.database.session() as session:
        load_id, _ = announcements.queue_upload(session, DATASETS["jobs"], "test-landing", "jobs.csv")
        assert announcements.cancel_upload(session, load_id)


def expire(landing: Landing) -> None:
    with landing.database.session() as session:
        announcements.queue_upload(session, DATASETS["jobs"], "test-landing", "jobs.csv")
        assert announcements.expire_uploads(session, timedelta(seconds=-1)) == 1


def abandon(landing: Landing) -> None:
    landing.put("departments.csv", "1,Sales\n")
    with landing.database.session() as session:
        session.run(
            "INSERT INTO loads (dataset, source, version, kind, status, attempts)"
            " VALUES ('jobs', 's3://test-landing/jobs.csv', 'v', 'csv', 'running', 3)"
        )
    assert upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE).failed == 1


def restore(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    run_backup(landing.database, landing.s3.storage, retention=timedelta(days=1))
    order = order_restore(landing.database, landing.s3.storage, DATASETS["departments"])
    key = f"restores/{order.load_id}/departments.avro"
    version = landing.s3.client.head_object(Bucket="test-landing", Key=key)
    item = {"key": key, "versionId": version["VersionId"], "eTag": version["ETag"].strip('"'), "sequencer": "FF"}
    landing.deliver({"Records": [{"s3": {"bucket": {"name": "test-landing"}, "object": item}}]})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (load_file, [("succeeded", "departments", 2, 1)]),
        (load_a_row, [("succeeded", "departments", 1, 0)]),
        (load_a_batch, [("succeeded", "departments", 2, 1)]),
        (fail_by_verdict, [("failed", "departments", 1, 1)]),
        (fail_for_an_unknown_dataset, [("failed", None, 0, 0)]),
        (skip_an_old_version, [("succeeded", "departments", 1, 0), ("skipped", "departments", 0, 0)]),
        (give_up, [("failed", "departments", 0, 0)]),
        (hand_over, [("succeeded", "departments", 3, 1)]),
        (cancel, [("skipped", "jobs", 0, 0)]),
        (expire, [("failed", "jobs", 0, 0)]),
        (abandon, [("failed", "jobs", 0, 0)]),
        (restore, [("succeeded", "departments", 1, 0), ("succeeded", "departments", 1, 0)]),
    ],
)
def test_every_end_of_a_load_writes_one_message(
    landing: Landing, run: Callable[[Landing], None], expected: Ends
) -> None:
    run(landing)
    assert summary(landing) == expected


def test_a_load_that_is_reopened_and_ends_again_has_a_second_message(landing: Landing) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    load = landing.give_up(event)
    with pytest.raises(LoadGivenUp):
        landing.deliver(event)  # a load that has already ended writes no second message
    [created] = created_objects(event)
    with landing.database.session() as session:
        claims.reopen(session, created)
    landing.deliver(event)
    landing.deliver(event)
    assert [(end["load_id"], end["status"], end["given_up"]) for end in ends(landing)] == [
        (load["id"], "failed", True),
        (load["id"], "succeeded", False),
    ]


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_an_end_that_rolls_back_writes_no_message(database: Database, role: str) -> None:
    insert = "INSERT INTO loads (source, kind, status) VALUES ('a', 'api', 'succeeded')"
    with database.session() as session:
        for end in ("ROLLBACK", "COMMIT"):
            session.run(f"BEGIN; SET LOCAL session_replication_role = {role}; {insert}; {end}")
        assert session.scalar("SELECT count(*) FROM outbox") == 1
        session.run("UPDATE loads SET received = 1; UPDATE loads SET status = 'succeeded'")  # no end
        assert session.scalar("SELECT count(*) FROM outbox") == 1


def test_a_message_has_the_reasons_of_rejects_and_counts_the_rows_that_wait(landing: Landing) -> None:
    landing.upload("hired_employees.csv", "1,Ada,2021-01-01,1,1\n1,Ada,2021-01-01,1,1\n2,Eve,2021-01-01,1,1\nx\n")
    send(landing, {"department": ""})
    file, request = ends(landing)
    assert (file["rejected"], file["waiting"]) == (4, 3)
    assert landing.load(file["load_id"])["waiting"] == 3
    assert [reason["code"] for reason in request["reasons"]] == ["missing"]
    assert "Ada" not in json.dumps([file, request])


def test_an_upgrade_sends_no_events_for_old_loads(postgres: Postgres) -> None:
    with connect(postgres.superuser_url) as admin:
        admin.run("DROP DATABASE IF EXISTS before_outbox")
        admin.run(f"CREATE DATABASE before_outbox OWNER {postgres.role.user}")
    url = postgres.url.rsplit("/", 1)[0] + "/before_outbox"
    upgrade(url, tls="disable", revision="0010")
    with connect(url) as server:
        server.run("INSERT INTO loads (source, kind, status) VALUES ('a', 'api', 'succeeded')")
    upgrade(url, tls="disable", api_url="https://api.example.com/api")
    with connect(url) as server:
        assert server.run("SELECT count(*) FROM outbox") == [[0]]
        assert server.run("SELECT api_url FROM deployment") == [["https://api.example.com/api"]]
    upgrade(url, tls="disable")  # without a URL, a migration keeps the stored URL
    with connect(url) as server:
        assert server.run("SELECT api_url FROM deployment") == [["https://api.example.com/api"]]
