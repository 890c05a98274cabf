"""One deployed stage for the session: a new embedded cloud, or the stage that --stage names."""

from collections.abc import Iterator

import pytest

from chalicelib.core.datasets import DATASETS
from infra.local.commands import Commands, commands
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.e2e.cloud import Cloud

_OWN = ROOT / ".local-test"  # a fixed folder, so that the next run cleans up after a killed run
_WAIT = 1800  # seconds to wait for another run in the same checkout


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> str | None:
    """Return the stage that --stage names, or None if the tests start their own cloud."""
    return request.config.getoption("--stage")  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def cloud(stage: str | None) -> Iterator[Cloud]:
    if stage is not None:
        deployed = commands(stage, ROOT, print)
        existing = Cloud(deployed, deployed.state.read_env())
        existing.backups += existing.restore_points()  # a later test looks for restore points that are new
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
    """Empty the tables before every test. The history of loads stays."""
    cloud.sql(f"TRUNCATE {', '.join(DATASETS)}, orphans CASCADE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that wait for a schedule last, so that the other tests use the waiting time."""
    items.sort(key=lambda item: "test_schedules" in item.nodeid)
