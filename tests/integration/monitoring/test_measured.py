"""Tests the metrics that the functions write as log lines."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.backups import manifest
from chalicelib.backups.run import run_backup
from chalicelib.core.datasets import DATASETS
from chalicelib.monitoring import gauges
from chalicelib.services import services
from tests import emf
from tests.integration.http_api import Api
from tests.integration.landing import Landing, Row
from tests.integration.lines import Lines
from tests.integration.s3_fixtures import BACKUP, S3
from tests.integration.sqs_fixtures import Queue

SECRET = "Ada Lund"
JOBS = (("service", "hireflow"), ("stage", "local"), ("dataset", "jobs"))


def invoke(api: Api, function: str, event: Any = None) -> Any:
    scheduled = api.client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
    return api.client.lambda_.invoke(function, event or scheduled).payload


def metrics(lines: Lines, **about: Any) -> list[Row]:
    return lines.all(logger="hireflow.metrics", **about)


def test_a_load_is_measured(api: Api, landing: Landing, lines: Lines) -> None:
    invoke(api, "ingest", landing.put("jobs.csv", "1,Clerk\n2,Smith\n3,\n"))
    [line] = metrics(lines)
    points = emf.points(line)
    assert (points["RowsReceived", JOBS], points["RowsRejected", JOBS], points["LoadsFailed", JOBS]) == (3, 1, 0)
    assert 0 < points["LoadSeconds", JOBS] < 60
    assert points["RowsPerSecond", JOBS] == pytest.approx(3 / points["LoadSeconds", JOBS], rel=0.1)
    [logged] = lines.all(message="load succeeded")
    assert (line["load_id"], line["request_id"]) == (logged["load_id"], logged["request_id"])


def test_the_reasons_of_rejects_are_counted_by_their_codes_without_values(
    api: Api, landing: Landing, lines: Lines
) -> None:
    invoke(api, "ingest", landing.put("jobs.csv", f"1,Clerk\n2,\n,\n{SECRET},Smith\n"))
    counted = {line["code"]: line["rejected"] for line in lines.all(message="rows rejected")}
    [load] = lines.all(message="load succeeded")
    summary = api.get(f"/loads/{load['load_id']}/rejects").body["reasons"]
    expected: Counter[str] = Counter()
    for reason in summary:
        expected[reason["code"]] += reason["count"]
    assert counted == dict(expected)
    assert len(counted) > 1
    assert {line["load_id"] for line in lines.all(message="rows rejected")} == {load["load_id"]}
    assert SECRET not in lines.text


def test_a_load_without_rejects_logs_no_reasons(api: Api, landing: Landing, lines: Lines) -> None:
    invoke(api, "ingest", landing.put("jobs.csv", "1,Clerk\n"))
    assert lines.all(message="rows rejected") == []


def test_a_load_is_measured_once(api: Api, landing: Landing, lines: Lines) -> None:
    event = landing.put("jobs.csv", "1,Clerk\n")
    invoke(api, "ingest", event)
    invoke(api, "ingest", event)
    older, newer = landing.put("departments.csv", "1,Old\n"), landing.put("departments.csv", "1,New\n")
    invoke(api, "ingest", newer)
    invoke(api, "ingest", older)  # skipped, because a newer version was loaded
    assert [line["dataset"] for line in metrics(lines)] == ["jobs", "departments"]


@pytest.mark.parametrize(("key", "dataset"), [("jobs.csv.gz", "jobs"), ("salaries.csv", None)])
def test_a_file_that_cannot_be_loaded_is_a_failed_load(
    api: Api, landing: Landing, lines: Lines, key: str, dataset: str | None
) -> None:
    event = landing.put(key, "1,Clerk\n")
    landing.s3.client.put_object(Bucket="test-landing", Key=key, Body=b"\x1f\x8bno")
    event["Records"][0]["s3"]["object"]["versionId"] = landing.s3.storage.landing.versions(key)[0]
    invoke(api, "ingest", event)
    [line] = metrics(lines)
    assert (emf.of_stage(line)["LoadsFailed"], line.get("dataset")) == (1, dataset)


def test_a_load_that_is_given_up_is_counted_as_failed_once(
    api: Api, landing: Landing, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = landing.put("jobs.csv", "1,Clerk\n")
    with landing.database.session() as session:
        session.run("ALTER TABLE jobs ADD CONSTRAINT broken CHECK (job <> 'Clerk')")
        try:
            for _ in range(3):
                with pytest.raises(Exception, match="internal error"):
                    invoke(api, "ingest", event)
        finally:
            session.run("ALTER TABLE jobs DROP CONSTRAINT broken")
    [line] = metrics(lines)
    assert emf.of_stage(line)["LoadsFailed"] == 1


def test_a_load_that_the_sweep_gives_up_is_counted_as_failed(
    api: Api, landing: Landing, queue: Queue, lines: Lines
) -> None:
    load = landing.upload("jobs.csv", "1,Clerk\n")
    with landing.database.session() as session:
        session.run("UPDATE loads SET status = 'running', attempts = 3")
    assert invoke(api, "sweep")["failed"] == 1
    [line] = metrics(lines, load_id=load["id"])
    assert emf.points(line)["LoadsFailed", JOBS] == 1
    [logged] = lines.all(message="load given up")
    assert logged["load_id"] == load["id"]


def test_a_backup_is_measured_when_it_makes_a_restore_point(api: Api, landing: Landing, lines: Lines) -> None:
    landing.upload("jobs.csv", "1,Clerk\n2,Smith\n")
    run = invoke(api, "backup")
    invoke(api, "backup")
    [line] = metrics(lines)
    values = emf.of_stage(line)
    assert values["BackupRows"] == 2
    assert values["BackupBytes"] == sum(table["bytes"] for table in run["tables"].values())
    assert 0 < values["BackupSeconds"] == run["seconds"] < 60
    assert (line["restore_point"], "request_id" in line) == (run["restore_point"], True)


def test_the_sweep_writes_the_gauges(api: Api, landing: Landing, queue: Queue, lines: Lines) -> None:
    landing.upload("hired_employees.csv", "1,Ann,2021-07-27,1,1\n2,Bo,2021-07-27,1,1\n")
    queue.send("hello")
    invoke(api, "backup")
    invoke(api, "sweep")
    [before] = metrics(lines, message="metrics of a stage")
    values = emf.of_stage(before)
    assert (values["DeadLetters"], values["OrphansWaiting"], values["BackupLag"]) == (1, 2, 0)
    assert 0 < values["BackupAge"] < 60
    landing.upload("departments.csv", "1,Staff\n")
    invoke(api, "sweep")
    [_, after] = metrics(lines, message="metrics of a stage")
    values = emf.of_stage(after)
    assert values["BackupLag"] == values["BackupAge"] > 0


def test_before_the_first_backup_no_age_is_written(api: Api, queue: Queue) -> None:
    parts = services()
    read = gauges.read(parts.database, parts.storage, parts.dead_letters)
    assert (read.backup_age, read.backup_lag, read.dead_letters, read.orphans) == (None, None, 0, 0)


def test_gauges_are_read_even_if_the_services_of_other_gauges_are_unavailable(
    api: Api, landing: Landing, s3: S3, queue: Queue, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_backup(landing.database, s3.storage, retention=timedelta(days=30))
    parts = services()
    monkeypatch.setenv("DATABASE_URL", "postgresql+pg8000://user:secret@127.0.0.1:1/hireflow")
    services.cache_clear()
    with pytest.raises(Exception, match="database"):
        invoke(api, "sweep")
    [line] = metrics(lines)
    assert set(emf.of_stage(line)) == {"BackupAge", "DeadLetters"}
    queue.client.delete_queue(QueueUrl=queue.url)
    for listed in s3.keys(BACKUP):
        s3.client.delete_object(Bucket=BACKUP, Key=listed)
    s3.client.delete_bucket(Bucket=BACKUP)
    read = gauges.read(parts.database, parts.storage, parts.dead_letters)
    parts.database.close()
    assert (read.backup_age, read.backup_lag, read.dead_letters, read.orphans) == (None, None, None, 0)


def test_the_backup_of_another_database_is_never_up_to_date(api: Api, landing: Landing, s3: S3, queue: Queue) -> None:
    """Each database counts the versions of its datasets from 0. The versions in a new database may therefore equal the
    versions in a restore point by chance."""
    landing.upload("jobs.csv", "1,Clerk\n")
    run_backup(landing.database, s3.storage, retention=timedelta(days=30))
    parts = services()
    assert gauges.read(parts.database, parts.storage, parts.dead_letters).backup_lag == 0
    newest = manifest.newest(s3.storage.backup)
    assert newest is not None
    other = replace(newest, origin="another")
    s3.storage.backup.put(manifest.manifest_key(newest.restore_point), other.to_json(), "application/json")
    read = gauges.read(parts.database, parts.storage, parts.dead_letters)
    assert read.backup_lag == read.backup_age != 0


def test_no_metric_contains_data_of_a_row(api: Api, landing: Landing, queue: Queue, lines: Lines) -> None:
    landing.upload("departments.csv", f"1,{SECRET}\n")
    landing.upload("jobs.csv", f"1,{SECRET}\n")
    invoke(api, "ingest", landing.put("hired_employees.csv", f"1,{SECRET},2021-07-27,1,1\n2,{SECRET},{SECRET},9,9\n"))
    invoke(api, "ingest", landing.put("salaries.csv", f"1,{SECRET}\n"))
    invoke(api, "backup")
    invoke(api, "sweep")
    measured = metrics(lines)
    assert len(measured) == 4
    assert SECRET not in lines.text
    not_numbers = {"at", "level", "logger", "message", "_aws", "service", "stage", "dataset", "restore_point"}
    not_numbers |= {"load_id", "request_id", "correlation_id"}
    for line in measured:
        numbers = set(line) - not_numbers
        assert all(isinstance(line[name], int | float) for name in numbers)
        assert line.get("dataset") in {None, *DATASETS}
