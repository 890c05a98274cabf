"""Tests that a stage of the previous release survives the first `make up` of this release. No data is lost, and no file
is loaded again.

The tests upgrade the stage in the two ways that users do it: after `make down`, and while the previous release still
runs. The previous release fills the stage once. Each upgrade starts from a copy of the folders of this stage.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.commands import Commands
from infra.local.daemons import Daemon
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.e2e.cloud import PATIENCE, Cloud, Row
from tests.e2e.earlier import Release, python_of, unpacked
from tests.e2e.upgraded import (
    DUE,
    LOST,
    MANY,
    Copies,
    Filled,
    Seen,
    Upgrade,
    fill,
    interrupted,
    make_outdated,
    make_tokens,
    rest,
)

SETTINGS = {"HIREFLOW_AUTH": "on", "ORPHAN_GRACE_MINUTES": "47", "BACKUP_RETENTION_DAYS": "11", "LOG_LEVEL": "WARNING"}
_FOLDER = ROOT / ".local-upgrade"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 1800  # seconds to wait until another run in the same checkout ends


@pytest.fixture(autouse=True)
def empty() -> None:
    """Override the fixture of conftest.py that empties the tables of the session's stage. These tests have their own
    stage."""


@pytest.fixture(scope="module")
def earlier(stage: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Unpack the previous release, and give it its own state folder."""
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not upgrade it")
    tree = unpacked(tmp_path_factory.mktemp("release"))
    with locked(ROOT / ".local-upgrade.lock", _WAIT, "another run of these tests does not end"):
        yield Release(tree, python_of(tree), {"HIREFLOW_STATE_DIR": str(_FOLDER), "STAGE": "local", **SETTINGS})


@pytest.fixture(scope="module")
def filled(earlier: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Deploy a stage with the previous release, fill the stage with data, and stop it."""
    commands = Commands("local", ROOT, State(_FOLDER), print)
    commands.clean()
    try:
        earlier.run("up")
        old = Cloud(commands, commands.state.read_env(), documented=False)
        tokens, letter = make_tokens(old), fill(old)
        earlier.run("down")
        yield Filled(
            commands, tokens, letter, old.backups[-1], Copies.of(commands.state, tmp_path_factory.mktemp("filled"))
        )
    finally:
        commands.clean()


@pytest.fixture(scope="module", params=["stopped", "running"])
def upgrade(earlier: Release, filled: Filled, request: pytest.FixtureRequest) -> Iterator[Upgrade]:
    commands = filled.commands
    commands.clean()
    try:
        filled.copies.bring_back()
        earlier.run("up")
        old = Cloud(commands, commands.state.read_env(), documented=False)
        upgrade = Upgrade(old, old.env, Seen.of(old), filled.tokens, filled.letter, filled.point)
        upgrade.announced = commands.not_deployed(commands.kept_settings())
        # From here on the commands get no SETTINGS in the environment. The stage must have kept the settings.
        with interrupted(old) as upgrade.never_begun:
            if request.param == "stopped":
                # `make down` of the previous release also stops the embedded AWS first.
                Daemon(commands.state.folder / "aws", "aws").stop(signal.SIGTERM)
            else:
                make_outdated(commands.state)
                commands.up()
        if request.param == "stopped":
            earlier.run("down")
            commands.up()
        upgrade.cloud = Cloud(commands, commands.state.read_env())
        upgrade.seconds = rest(upgrade)
        yield upgrade
    finally:
        commands.clean()


def test_every_interrupted_file_is_loaded_soon_and_once(upgrade: Upgrade) -> None:
    assert upgrade.never_begun, "the previous release lost no file, so there is nothing to find"
    loads = [load for load in upgrade.after.loads.values() if load["source"] in upgrade.due]
    assert Counter(load["source"] for load in loads) == dict.fromkeys(upgrade.due, 1)
    assert {load["status"] for load in loads} == {"succeeded"}
    assert upgrade.seconds < PATIENCE
    assert sorted(load["inserted"] for load in loads) == [*[1] * len(LOST), MANY]
    due = {100 + number: f"Job of {key}" for number, key in enumerate(LOST)}
    due |= {1000 + number: f"Job {number}" for number in range(MANY)}
    jobs = {row_id: row[2] for row_id, row in upgrade.after.tables["jobs"].items()}
    assert (
        jobs.items() - {row_id: row[2] for row_id, row in upgrade.before.tables["jobs"].items()}.items() == due.items()
    )


def test_no_row_is_lost_or_written_again(upgrade: Upgrade) -> None:
    before, after = upgrade.before, upgrade.after
    for name in ("departments", "hired_employees"):  # `begin_loads` sent no files of these datasets
        assert after.tables[name] == before.tables[name]
        assert after.versions[name] == before.versions[name]
    assert before.tables["jobs"].items() <= after.tables["jobs"].items()
    assert without(after.waiting, "rejected_at") == without(before.waiting, "rejected_at")
    assert after.reports == before.reports


def test_rows_wait_for_their_parents_as_long_as_before_or_longer(upgrade: Upgrade) -> None:
    """The time that the upgrade takes does not shorten the grace period of waiting rows."""
    since = [[row["rejected_at"] for [row] in seen.waiting] for seen in (upgrade.before, upgrade.after)]
    assert since[0]
    assert all(earlier <= later for earlier, later in zip(*since, strict=True))


def without(rows: list[Any], column: str) -> list[Row]:
    return [{name: value for name, value in row.items() if name != column} for [row] in rows]


def test_the_history_stays_and_nothing_else_is_loaded(upgrade: Upgrade) -> None:
    before, after = upgrade.before.loads, upgrade.after.loads
    assert {load_id: known_of(after[load_id], load) for load_id, load in before.items()} == {
        load_id: known_of(load, load) for load_id, load in before.items()
    }
    assert {load["source"] for load_id, load in after.items() if load_id not in before} == upgrade.due


def known_of(load: Row, earlier: Row) -> Row:
    """Return the columns of a load that the previous release had, because this release may have added columns.

    The column `queued_at` is left out if the load waits for its file. After a restart the waiting time of such a load
    starts again.
    """
    announced = earlier["version"] is None and earlier["status"] == "queued"
    return {name: load[name] for name in earlier if not (announced and name == "queued_at")}


def test_no_object_is_lost_or_changed(upgrade: Upgrade) -> None:
    for bucket, objects in upgrade.before.objects.items():
        assert objects.items() <= upgrade.after.objects[bucket].items()
    added = upgrade.after.objects["LANDING_BUCKET"].keys() - upgrade.before.objects["LANDING_BUCKET"].keys()
    assert Counter(name.split()[0] for name in added) == dict.fromkeys(DUE, 1)


def test_reject_files_are_readable(upgrade: Upgrade) -> None:
    loads = [load for load in upgrade.after.loads.values() if load["rejected"]]
    assert len(loads) == 3 + len(LOST)
    for load in loads:
        assert len(upgrade.cloud.rejects(load)) == load["rejected"]


def test_tokens_keep_their_roles(upgrade: Upgrade) -> None:
    def status(method: str, path: str, role: str, body: bytes | None = None) -> int:
        headers = {"Authorization": f"Bearer {upgrade.tokens[role]}", "Content-Type": "application/json"}
        return upgrade.cloud.send(method, path, body, headers).status

    assert upgrade.cloud.env["API_TOKEN"] == upgrade.tokens["operator"]
    assert {role: status("GET", "/loads", role) for role in upgrade.tokens} == {
        "operator": 200,
        "reader": 200,
        "writer": 200,
        "revoked": 401,
    }
    rows = b'{"data": [{"id": 1, "department": "Sales"}]}'  # this row is already stored, so the requests change nothing
    assert status("POST", "/department/upload/batch", "reader", rows) == 403
    assert status("POST", "/department/upload/batch", "writer", rows) == 200
    assert status("POST", "/department/backup/restore", "writer", b"{}") == 403


def test_the_functions_keep_their_settings(upgrade: Upgrade) -> None:
    deployed = upgrade.cloud.commands.deployed()
    functions = deployed.client("lambda")
    configuration = functions.get_function_configuration(FunctionName=deployed.function("ingest"))
    assert SETTINGS.items() <= configuration["Environment"]["Variables"].items()
    assert upgrade.cloud.commands.kept_settings().to_keep() == SETTINGS
    assert upgrade.cloud.commands.state.settings_file.exists()


def test_the_status_announces_no_change_before_the_upgrade(upgrade: Upgrade) -> None:
    assert upgrade.announced == []


def test_addresses_do_not_change(upgrade: Upgrade) -> None:
    before = upgrade.earlier_env
    stays = ("API_URL", "AWS_ENDPOINT_URL", "DATABASE_URL", "LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET")
    assert {name: upgrade.cloud.env[name] for name in stays} == {name: before[name] for name in stays}


def test_dead_letters_stay(upgrade: Upgrade) -> None:
    messages = upgrade.cloud.queue("receive_message", MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    assert [message["Body"] for message in messages] == [upgrade.letter]


def test_another_up_changes_nothing(upgrade: Upgrade, capsys: pytest.CaptureFixture[str]) -> None:
    before = Seen.of(upgrade.cloud)
    upgrade.cloud.commands.up()
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["tokens are required", "ready"]
    assert upgrade.cloud.commands.state.read_env() == upgrade.cloud.env
    after = Seen.of(upgrade.cloud)
    assert (after.tables, after.versions, after.loads) == (before.tables, before.versions, before.loads)


def test_restore_points_are_listed_and_sound_and_can_be_restored(upgrade: Upgrade) -> None:
    """Only tests that need no other data may follow this test, because it changes rows."""
    points, cloud = upgrade.before.points, upgrade.cloud
    assert len(points) >= 2
    assert set(points) <= set(upgrade.after.points)
    for point in points:
        report = cloud.commands.invoke_scheduled("verify", {"restore_point": point})
        assert not any([report["faults"], *(table["faults"] for table in report["tables"].values())])
    cloud.sql("DELETE FROM hired_employees; DELETE FROM departments; DELETE FROM jobs")
    for route in ("department", "job", "hired_employee"):
        load = cloud.restore(route, upgrade.point)
        assert (load["status"], load["rejected"]) == ("succeeded", 0)
    names = dict(cloud.table("departments"))
    assert (names[1], names[2]) == ("Sales", "Changed since")
    assert [row[:2] for row in cloud.table("hired_employees")] == [(1, "Ann"), (2, "Bo Renamed")]
    load = cloud.upload("jobs_after.csv", "5,Smith of now\n")
    assert load["status"] == "succeeded"


def test_old_loads_of_requests_are_deleted_and_old_files_are_not_loaded_again(upgrade: Upgrade) -> None:
    """This must be the last test of this file, because it makes all loads a year older."""
    cloud = upgrade.cloud
    objects = "SELECT count(*) FROM loads WHERE kind <> 'api' AND version IS NOT NULL"
    before = cloud.sql(objects)
    cloud.sql(
        "UPDATE loads SET created_at = created_at - interval '366 days', queued_at = queued_at - interval '366 days',"
        " finished_at = finished_at - interval '366 days'"
    )
    swept = cloud.commands.invoke_scheduled("sweep", {"restarted": True})
    assert swept["pruned"] > 0
    assert swept["offered"] == 0
    assert cloud.sql("SELECT count(*) FROM loads WHERE kind = 'api'") == [(0,)]
    assert cloud.sql(objects) == before
