"""Deploys one stage for all tests of the session, on a new embedded cloud. If --stage names a stage, the tests use that
stage instead."""

from collections.abc import Iterator

import pytest

from infra.local.commands import Commands, commands
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.e2e.cloud import Cloud
from tests.tables import TABLES

_OWN = ROOT / ".local-test"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 1800  # seconds to wait until another run in the same checkout ends


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> str | None:
    """Return the stage that --stage names, or None if the tests start an embedded cloud of their own."""
    return request.config.getoption("--stage")  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def cloud(stage: str | None) -> Iterator[Cloud]:
    if stage is not None:
        deployed = commands(stage, ROOT, print)
        existing = Cloud(deployed, deployed.state.read_env())
        # Restore points that no test has made. tests/e2e/test_schedules.py looks for a newer one.
        existing.backups += existing.restore_points()
        yield existing
        return
    own = Commands("local", ROOT, State(_OWN), print)
    with locked(ROOT / ".local-test.lock", _WAIT, "another run of these tests does not end"):
        own.clean()
        own.up()
        try:
            yield Cloud(own, own.state.read_env())
        finally:
            own.clean()


@pytest.fixture(autouse=True)
def empty(cloud: Cloud) -> None:
    """Empty the tables before every test. The history of loads is not deleted."""
    cloud.sql(f"TRUNCATE {TABLES}, orphans CASCADE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that wait for a schedule last, so that the other tests run during the waiting time."""
    items.sort(key=lambda item: "test_schedules" in item.nodeid)
