"""One deployed cloud for the session: a fresh embedded one, or the stage named by --stage."""

from collections.abc import Iterator

import pytest

from chalicelib.core.datasets import DATASETS
from infra.local.commands import Commands, commands
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.e2e.cloud import Cloud

_OWN = ROOT / ".local-test"  # a fixed folder: what a killed run left there is cleaned up by the next one
_WAIT = 1800  # seconds for another run in the same checkout to end


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> str | None:
    """The stage to test, or None for a cloud of our own."""
    return request.config.getoption("--stage")  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def cloud(stage: str | None) -> Iterator[Cloud]:
    if stage is not None:
        deployed = commands(stage, ROOT, print)
        found = Cloud(deployed, deployed.state.read_env())
        found.backups += found.restore_points()  # nothing that was there before came in our time
        yield found
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
    """Every test begins with empty tables; the history stays."""
    cloud.sql(f"TRUNCATE {', '.join(DATASETS)}, orphans CASCADE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for a schedule comes last of all: the other tests pass the time."""
    items.sort(key=lambda item: "test_schedules" in item.nodeid)
