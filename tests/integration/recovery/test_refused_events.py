"""Tests that a file is loaded although all attempts of its event found no free connection."""

import pytest

from chalicelib.core.errors import TooManyConnections
from infra.local.postgres import Postgres
from tests.integration.faulty_postgres import without_room
from tests.integration.landing import Landing
from tests.integration.recovery.test_landing_sweep import Function, function, sweep

__all__ = ["function"]  # the imported fixture is used by its name
ATTEMPTS = 3  # Lambda delivers an event once and retries it twice; then the event becomes a dead letter


def test_the_sweep_takes_up_an_object_whose_event_was_refused(
    postgres: Postgres, landing: Landing, function: Function
) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    landing.database.close()
    with without_room(postgres, postgres.role):
        for _ in range(ATTEMPTS):
            with pytest.raises(TooManyConnections):
                landing.deliver(event)
    assert landing.loads() == 0, "a refused attempt left a trace"
    assert sweep(function) == 1
    function.work()
    assert (landing.load()["status"], landing.load()["attempts"]) == ("succeeded", 1)
    landing.deliver(event)  # a redrive of the dead letter
    assert (landing.loads(), sweep(function)) == (1, 0)
    assert landing.rows("SELECT department FROM departments") == [("Sales",)]
