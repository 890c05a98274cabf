"""Tests that a running stage of the previous release can get a column and a dataset: `make migration`, then `make up`.

Old and new files, requests and restore points work afterwards. The checkout in which the column `email` and the dataset
`locations` are declared is a copy of this one.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.local.commands import Commands
from infra.local.daemons import Daemon
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.checkouts import copied, passes
from tests.e2e.cloud import Cloud, Row, counts
from tests.e2e.earlier import Release, python_of, unpacked
from tests.e2e.upgraded import DUE, MANY, interrupted, rest_of
from tests.new_shape import declare

_FOLDER = ROOT / ".local-shape"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 1800  # seconds to wait until another run in the same checkout ends
DAY = "2021-07-27T16:02:08Z"


@pytest.fixture(autouse=True)
def empty() -> None:
    """Override the fixture of conftest.py that empties the tables of the session's stage. These tests have their own
    stage."""


@dataclass
class Changed:
    """A stage after the change. `old` is a restore point of the previous release. `checkout` is the copy whose code is
    deployed."""

    cloud: Cloud
    old: str
    checkout: Path

    def employee(self, number: int) -> tuple[Any, ...]:
        """Return the name, the email and the location of an employee."""
        [found] = self.cloud.sql(f"SELECT name, email, location_id FROM hired_employees WHERE id = {number}")
        return found

    def send(self, **values: Any) -> Row:
        response = self.cloud.post("/hired_employee/upload", values)
        assert response.status in (200, 201), response.body
        return dict(response.body)

    def verify(self, point: str) -> list[Any]:
        """Return all faults of a restore point."""
        report = self.cloud.commands.invoke_scheduled("verify", {"restore_point": point})
        return [*report["faults"], *(fault for table in report["tables"].values() for fault in table["faults"])]


def fill(cloud: Cloud) -> str:
    """Fill the stage of the previous release. One employee waits for a department. Return a restore point."""
    assert cloud.upload("departments.csv", "1,Sales\n2,Ops\n")["inserted"] == 2
    assert cloud.upload("jobs.csv", "1,Clerk\n2,Smith\n")["inserted"] == 2
    hires = f"1,Ann,{DAY},1,1\n2,Bo,{DAY},2,2\n3,Cy,{DAY},1,2\n4,Di,{DAY},777,1\n"
    assert cloud.upload("hired_employees.csv", hires)["rejected"] == 1
    return cloud.backup()


@pytest.fixture(scope="module")
def changed(stage: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changed]:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not change it")
    tree = unpacked(tmp_path_factory.mktemp("release"))
    checkout = copied(tmp_path_factory.mktemp("checkout"))
    (checkout / ".venv-aws").symlink_to(ROOT / ".venv-aws")
    declare(checkout)
    environment = {"HIREFLOW_STATE_DIR": str(_FOLDER), "STAGE": "local"}
    earlier, later = Release(tree, python_of(tree), environment), Release(checkout, python_of(checkout), environment)
    commands = Commands("local", ROOT, State(_FOLDER), print)
    with locked(ROOT / ".local-shape.lock", _WAIT, "another run of these tests does not end"):
        commands.clean()
        try:
            earlier.run("up")
            old = Cloud(commands, commands.state.read_env(), documented=False)
            point = fill(old)
            passes(checkout, "infra.migration", "email_and_locations")
            with interrupted(old):  # the loads of many files are at work
                Daemon(commands.state.folder / "aws", "aws").stop(signal.SIGTERM)  # as `make down` does first
            earlier.run("down")
            later.run("up")
            cloud = Cloud(commands, commands.state.read_env(), documented=False)
            rest_of(cloud)
            yield Changed(cloud, point, checkout)
        finally:
            commands.clean()


def test_rows_loads_in_flight_and_reports_survive(changed: Changed) -> None:
    """Loads that the previous release had begun end once, with the new columns empty."""
    cloud = changed.cloud
    assert [changed.employee(number) for number in (1, 2, 3)] == [
        ("Ann", None, None),
        ("Bo", None, None),
        ("Cy", None, None),
    ]
    assert cloud.sql("SELECT count(*) FROM jobs") == [(2 + MANY + len(DUE) - 1,)]
    assert cloud.get("/department/hires/quarterly/2021").body[0]["q3"] == 1
    loads = cloud.sql("SELECT source, status FROM loads WHERE source LIKE '%lost%' OR source LIKE '%interrupted%'")
    assert {status for _, status in loads} == {"succeeded"}
    assert len(loads) == len(DUE)


def test_old_and_new_files_load(changed: Changed) -> None:
    cloud = changed.cloud
    assert counts(cloud.upload("locations.csv", "1,Oslo,\n2,Rome,2020-01-05\n")) == (2, 2, 0, 0, 0, 0)
    new = f"id,name,datetime,department_id,job_id,location_id,email\n1,Ann,{DAY},1,1,2,ann@example.com\n"
    assert counts(cloud.upload("hired_employees_new.csv", new)) == (1, 0, 1, 0, 0, 0)
    assert changed.employee(1) == ("Ann", "ann@example.com", 2)
    assert cloud.upload("hired_employees_old.csv", f"1,Ann B.,{DAY},1,1\n5,Ed,{DAY},1,1\n")["updated"] == 1
    assert changed.employee(1) == ("Ann B.", "ann@example.com", 2)
    assert changed.employee(5) == ("Ed", None, None)
    by_position = f"1,Ann C.,{DAY},1,1,,1\n5,Ed,{DAY},1,1,ed@example.com,\n"
    assert cloud.upload("hired_employees_positions.csv", by_position)["updated"] == 2
    assert changed.employee(1) == ("Ann C.", None, 1)
    assert changed.employee(5) == ("Ed", "ed@example.com", None)


def test_old_and_new_requests_work(changed: Changed) -> None:
    row = {"id": 2, "name": "Bo", "datetime": DAY, "department_id": 2, "job_id": 2}
    assert changed.send(**row)["outcome"] == "unchanged"
    assert changed.send(**row, email="bo@example.com")["outcome"] == "updated"
    assert changed.send(**{**row, "name": "Bo D."})["outcome"] == "updated"
    assert changed.employee(2) == ("Bo D.", "bo@example.com", None)
    assert changed.send(**row, email=None)["outcome"] == "updated"
    assert changed.employee(2) == ("Bo", None, None)
    response = changed.cloud.post("/hired_employee/upload", {**row, "location_id": 99})
    assert response.body["errors"][0]["reason"] == "location_id 99 does not exist"


def test_a_row_that_has_waited_since_before_the_change_is_loaded(changed: Changed) -> None:
    assert changed.cloud.post("/department/upload", {"id": 777, "department": "Late"}).status == 201
    assert changed.employee(4) == ("Di", None, None)


def test_old_and_new_restore_points_are_sound_and_can_be_restored(changed: Changed) -> None:
    cloud = changed.cloud
    assert changed.send(id=3, name="Cy", datetime=DAY, department_id=1, job_id=2, email="cy@example.com")
    new = cloud.backup()
    assert [changed.verify(point) for point in (changed.old, new)] == [[], []]
    assert changed.send(id=3, name="Changed", datetime=DAY, department_id=1, job_id=2, email="x@example.com")
    assert cloud.restore("hired_employee", changed.old)["rejected"] == 0
    assert changed.employee(3) == ("Cy", "x@example.com", None), "the old restore point leaves out the email"
    assert cloud.restore("hired_employee", new)["rejected"] == 0
    assert changed.employee(3) == ("Cy", "cy@example.com", None)
    cloud.sql("DELETE FROM hired_employees; DELETE FROM locations")
    assert cloud.restore("hired_employee", changed.old)["inserted"] == 3
    assert changed.employee(3) == ("Cy", None, None)
    assert cloud.restore("location", new)["inserted"] == 2
    assert cloud.restore("hired_employee", new)["rejected"] == 0
    assert changed.employee(1) == ("Ann C.", None, 1)


def test_the_command_line_knows_the_dataset(changed: Changed, tmp_path: Path) -> None:
    file = tmp_path / "location-2026.csv"
    file.write_text("id,city\n7,Bern\n")
    done = subprocess.run(
        ["./hireflow", "upload", str(file)],
        cwd=changed.checkout,
        env={**os.environ, "HIREFLOW_STATE_DIR": str(_FOLDER), "API_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert changed.cloud.sql("SELECT city, opened FROM locations WHERE id = 7") == [("Bern", None)]
