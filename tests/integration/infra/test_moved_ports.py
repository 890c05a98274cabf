"""Tests how the two servers of a stage, AWS and Postgres, move to other ports."""

import socket
from collections.abc import Callable, Iterator, Mapping

import pytest

from infra.errors import CloudError
from infra.local import ports
from infra.local.cloud import Embedded, Services
from infra.local.state import State
from infra.settings.chosen import choose

Up = Callable[[Mapping[str, int]], tuple[int, int]]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    stage = State(tmp_path_factory.mktemp("stage"))
    try:
        yield stage
    finally:
        Embedded(stage).clean(print)


@pytest.fixture
def up(state: State) -> Up:
    """Start the servers with these settings, or move them if they are running. Return the ports of AWS and Postgres."""

    def run(fixed: Mapping[str, int]) -> tuple[int, int]:
        given = {name: str(port) for name, port in fixed.items()}
        services: Services = Embedded(state).up(print, choose("local", given, {}))
        shown = Embedded(state).status()
        assert services.aws["AWS_ENDPOINT_URL"] == f"http://{shown['AWS']}"
        assert services.database_url.endswith(f"{shown['Postgres']}/hireflow")
        return number(shown["AWS"]), number(shown["Postgres"])

    return run


def number(place: str | None) -> int:
    assert place is not None
    return int(place.rpartition(":")[2])


def test_a_setting_may_fix_the_current_or_last_port_of_the_other_server(state: State, up: Up) -> None:
    _, of_postgres = up({})
    # Both servers run. The setting gives AWS the current port of Postgres, so Postgres has to move.
    of_aws, moved = up({"HIREFLOW_PORT": of_postgres})
    assert of_aws == of_postgres != moved
    # Both servers are stopped. Postgres starts before AWS, so its last port is still free. But Postgres must not take
    # this port, because the setting gives it to AWS.
    Embedded(state).down(print)
    assert state.notes()["pg_port"] == moved
    of_aws, elsewhere = up({"HIREFLOW_PORT": moved})
    assert of_aws == moved != elsewhere
    # The two servers exchange their ports.
    assert up({"HIREFLOW_PG_PORT": moved, "HIREFLOW_PORT": elsewhere}) == (elsewhere, moved)


def test_no_server_moves_if_one_of_the_ports_is_taken(state: State, up: Up) -> None:
    before = up({})
    with socket.socket() as foreign:
        foreign.bind((ports.HOST, 0))
        foreign.listen()
        wanted = {"HIREFLOW_PORT": before[1], "HIREFLOW_PG_PORT": foreign.getsockname()[1]}
        with pytest.raises(CloudError, match="is in use by another process"):
            up(wanted)
    assert tuple(number(Embedded(state).status()[name]) for name in ("AWS", "Postgres")) == before
