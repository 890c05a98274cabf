"""Tests that a stage whose database is lost gets its rows back from a restore point (docs/operations.md)."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.venv import ROOT
from tests.e2e.cloud import PATIENCE, Cloud, Row, counts, until

REPORTS = (
    "/department/hires/quarterly/2021",
    "/department/hires/quarterly",
    "/department/hires/top/2021",
    "/department/hires/years",
)
HIRES = [  # the columns: id, year, month, department, job
    (number, 2020 + number % 3, 1 + number % 9, 1 + (number % 4 == 0), 1 + number % 2) for number in range(1, 41)
]
FILES = {
    "departments.csv": "1,Legal\n2,Sales\n3,Staff\n",
    "jobs.csv": "1,Clerk\n2,Lawyer\n",
    "hired_employees.csv": "".join(f"{i},Ann {i},{y}-0{m}-27T16:02:08Z,{d},{j}\n" for i, y, m, d, j in HIRES),
}
TABLES = ("departments", "jobs", "hired_employees")
NO_ROWS: dict[str, list[tuple[object, ...]]] = {table: [] for table in TABLES}


@pytest.fixture(autouse=True)
def ours(stage: str | None) -> None:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not delete its database")


@pytest.fixture
def lost(cloud: Cloud) -> Iterator[str]:
    """Load files, make a restore point, and replace the database by a new, empty one. Yield the name of the restore
    point."""
    for name, text in FILES.items():
        cloud.upload(f"lost/{name}", text)
    point = cloud.backup()
    until(lambda: cloud.dead_letters() == 0, "an empty queue of dead letters")
    cloud.replace_database()
    cloud.commands.up()
    yield point
    cloud.backups += [each for each in cloud.restore_points() if each not in cloud.backups]


def reports(cloud: Cloud) -> dict[str, object]:
    return {path: cloud.get(path).body for path in REPORTS}


def rows(cloud: Cloud) -> dict[str, list[tuple[object, ...]]]:
    return {table: cloud.table(table) for table in TABLES}


def hireflow(cloud: Cloud, *words: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("API_", "AWS_"))}
    stage = {"HIREFLOW_STATE_DIR": str(cloud.commands.state.folder), "STAGE": cloud.commands.stage}
    command: list[str | Path] = [ROOT / "hireflow", *words]
    return subprocess.run(
        command, env={**kept, **stage}, capture_output=True, text=True, check=False, timeout=2 * PATIENCE
    )


def restore_all(cloud: Cloud, *options: str) -> "subprocess.CompletedProcess[str]":
    return hireflow(cloud, "restore", "all", "--yes", *options)


def loaded_again(cloud: Cloud, key: str) -> Row:
    """Load a file of the lost database again, by copying the object to another key. Return the load of the copy."""
    bucket, copy, before = cloud.env["LANDING_BUCKET"], f"again/{key}", cloud.newest_load()
    cloud.s3.copy_object(Bucket=bucket, Key=copy, CopySource={"Bucket": bucket, "Key": key})
    return cloud.ended(f"s3://{bucket}/{copy}", before)


def backup_run(cloud: Cloud) -> Row:
    """Run a backup. If another backup is running, try again until it has ended. Return the result of the backup."""
    return until(lambda: run if (run := cloud.commands.invoke("backup"))["outcome"] != "busy" else None, "a backup")


@pytest.fixture
def before(cloud: Cloud) -> dict[str, object]:
    """Load the files that `lost` loads, too, and return the reports that follow from them."""
    for name, text in FILES.items():
        cloud.upload(f"before/{name}", text)
    return reports(cloud)


def test_restore_all_brings_the_reports_of_a_lost_database_back(
    before: dict[str, object], lost: str, cloud: Cloud
) -> None:
    """Before the restore, backups and sweeps run, as their schedules would run them. They must not hide the restore
    point."""
    assert before["/department/hires/top/2021"] != []
    assert rows(cloud) == NO_ROWS
    points = cloud.restore_points()
    for _ in range(2):
        run = backup_run(cloud)
        assert (run["outcome"], run["restore_point"], run["deleted"]) == ("waiting", lost, [])
        cloud.commands.invoke_scheduled("sweep", {"restarted": True})
    backup_by_hand = hireflow(cloud, "backup")
    assert backup_by_hand.stdout == f"{lost}\n"
    assert "no backup was made: the database is empty" in backup_by_hand.stderr
    assert cloud.restore_points() == points
    assert (rows(cloud), cloud.newest_load()) == (NO_ROWS, 0), "the sweep loaded old files"

    done = restore_all(cloud)

    assert done.returncode == 0, done.stdout + done.stderr
    ended = re.findall(r"^(\w+): load \d+ succeeded$", done.stdout, re.MULTILINE)
    assert ended == list(TABLES)
    assert reports(cloud) == before
    restored = rows(cloud)
    assert [len(restored[table]) for table in TABLES] == [3, 2, 40]
    cloud.commands.invoke_scheduled("sweep", {"restarted": True})
    assert (rows(cloud), reports(cloud)) == (restored, before)
    assert counts(loaded_again(cloud, "lost/departments.csv")) == (3, 0, 0, 3, 0, 0)
    run = backup_run(cloud)
    assert run["outcome"] == "created"
    newest = cloud.get("/backups?limit=1").body["backups"][0]
    assert (newest["restore_point"], newest["previous_database"]) == (run["restore_point"], None)
    assert {name: table["rows"] for name, table in newest["tables"].items()} == {
        name: len(found) for name, found in restored.items()
    }
    assert restore_all(cloud).returncode == 0, "the newest restore point has all rows, so no question is left"


def test_restore_all_names_both_points_if_new_rows_arrived_before_the_restore(
    before: dict[str, object], lost: str, cloud: Cloud
) -> None:
    cloud.upload("departments_of_today.csv", "7,New\n")
    cloud.backup()
    assert cloud.get("/backups?limit=1").body["backups"][0]["previous_database"] == lost
    refused = restore_all(cloud)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.search(rf"{lost} is of the previous database and has 45 rows: choose one of them", refused.stderr)
    done = restore_all(cloud, "--point", lost)
    assert done.returncode == 0, done.stdout + done.stderr
    assert reports(cloud) == before
    assert [name for _, name in cloud.table("departments")] == ["Legal", "Sales", "Staff", "New"]
