"""Tests which purpose each function has, and how the purposes share the connections of the database."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.cloud.purposes import Purpose, of_function
from chalicelib.core import shares
from infra.deploy.concurrency import API, of_machine, wanted
from infra.deploy.policies import deployed_name
from infra.venv import ROOT

CONNECTIONS = 100  # the default of DATABASE_CONNECTIONS
TIMEOUTS = {
    name: each["lambda_timeout"]
    for name, each in json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"].items()
}
NAMES = {"api_handler": "hireflow api", "ingest": "hireflow files"}


@pytest.mark.parametrize("stage", ["local", "prod", "ingest", "prod-eu-ingest", "api-handler"])
@pytest.mark.parametrize("function", TIMEOUTS)
def test_every_function_has_its_purpose(stage: str, function: str) -> None:
    purpose = of_function(deployed_name(stage, function), stage, CONNECTIONS)
    assert purpose.name == NAMES.get(function, "hireflow schedules")
    assert (purpose.share is not None) == (function == "api_handler")


@pytest.mark.parametrize("function", TIMEOUTS)
def test_only_the_api_never_waits_for_a_connection_and_the_others_keep_most_of_their_time(function: str) -> None:
    patience = of_function(deployed_name("prod", function), "prod", CONNECTIONS).patience
    assert (patience == 0) == (function == "api_handler")
    assert patience <= 60
    assert 3 * patience <= TIMEOUTS[function]


def test_a_process_that_is_no_function_serves_the_api() -> None:
    assert of_function("", "local", 7) == Purpose("hireflow api", share=shares.of_api(7), trust=1.0, prepares=True)


def test_only_connections_of_files_skip_row_triggers() -> None:
    """Requests are merged with the triggers, which check each reference once more."""
    purposes = {name: of_function(deployed_name("prod", name), "prod", CONNECTIONS) for name in TIMEOUTS}
    assert [name for name, purpose in purposes.items() if purpose.skips_row_triggers] == ["ingest"]
    assert {name for name, purpose in purposes.items() if purpose.prepares} == {
        "ingest",
        "api_handler",
    }


def test_all_functions_are_counted() -> None:
    assert len(TIMEOUTS.keys() - {"api_handler", "ingest", "migrate", "verify"}) == shares.OTHERS


@given(st.integers(1, 262_143), st.integers(shares.OTHERS, 20))
def test_every_instance_of_the_api_that_lambda_may_start_has_a_place(connections: int, others: int) -> None:
    assert wanted(connections, others).get(API, 0) <= shares.of_api(connections)


@given(st.integers(1, 262_143), st.integers(1, 256))
def test_every_worker_of_the_api_that_this_machine_may_start_has_a_place(connections: int, cores: int) -> None:
    others = TIMEOUTS.keys() - {"api_handler", "ingest"}
    assert of_machine(connections, others, cores)[API] <= shares.of_api(connections)


@given(st.integers(1, 262_143))
def test_the_api_leaves_connections_for_files_and_schedules(connections: int) -> None:
    share = shares.of_api(connections)
    room = shares.FILES + shares.OF_OTHERS * shares.OTHERS
    assert connections - share > min(room, connections // 2 - 1)
    assert share >= 1
