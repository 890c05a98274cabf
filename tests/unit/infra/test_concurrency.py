"""Tests how much concurrency of Lambda a deployment reserves. botocore's model of Lambda checks requests and
responses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from infra.deploy import plan, project
from infra.deploy.concurrency import API, INGEST, Quota, affordable, of_machine, quota_of, wanted, with_reservations
from infra.deploy.target import Target, bucket_names, queue_names
from infra.sessions import session
from infra.venv import ROOT

CONNECTIONS = 100  # the default of DATABASE_CONNECTIONS
FUNCTIONS = list(json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"])
OTHERS = len(FUNCTIONS) - 2
counts = st.integers(0, 300_000)


@given(counts, st.integers(0, 40), st.integers(-1000, 100_000))
def test_reservations_stay_below_the_connections_and_within_the_room(connections: int, others: int, room: int) -> None:
    wishes = wanted(connections, others)
    reserved = affordable(wishes, room)
    assert all(number > 0 for number in reserved.values())  # a reservation of 0 would switch the function off
    assert sum(reserved.values()) <= max(room, 0)
    assert all(number <= wishes[name] for name, number in reserved.items())
    if reserved:
        assert sum(wishes.values()) + 2 * others < connections


@given(counts, st.lists(st.text(), unique=True, max_size=40), st.integers(1, 256))
def test_on_this_machine_every_function_has_workers_and_all_stay_below_the_connections(
    connections: int, others: list[str], cores: int
) -> None:
    reserved = of_machine(connections, others, cores)
    assert reserved.keys() == {INGEST, API, *others}
    assert all(number > 0 for number in reserved.values())
    assert reserved[API] >= reserved[INGEST]
    if connections > len(reserved):
        assert sum(reserved.values()) < connections


@pytest.mark.parametrize(
    ("connections", "cores", "expected"),
    [(100, 2, (4, 16, 2)), (100, 16, (20, 63, 2)), (24, 2, (3, 4, 2)), (12, 2, (1, 2, 1)), (1, 8, (1, 1, 1))],
)
def test_the_cores_and_the_connections_limit_the_workers_of_this_machine(
    connections: int, cores: int, expected: tuple[int, int, int]
) -> None:
    others = [name for name in FUNCTIONS if name not in (INGEST, API)]
    reserved = of_machine(connections, others, cores)
    assert (reserved[INGEST], reserved[API], reserved["backup"]) == expected


@given(counts, counts, counts)
def test_the_last_100_of_an_account_are_never_reserved(total: int, of_others: int, ours: int) -> None:
    quota = Quota(total, max(total - of_others - ours, 0), ours)
    assert quota.room >= 0
    assert quota.room == 0 or quota.unreserved + quota.ours - quota.room >= 100


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (900, {INGEST: 20, API: 65}),
        (60, {INGEST: 20, API: 40}),
        (39, {INGEST: 20}),  # the API gets no limit, because a limit of 19 would do more harm than a burst
        (7, {INGEST: 7}),
        (4, {}),
        (0, {}),
        (-50, {}),
    ],
)
def test_ingest_comes_first_and_no_limit_is_harmfully_small(room: int, expected: Mapping[str, int]) -> None:
    assert affordable(wanted(CONNECTIONS, 7), room) == expected


@dataclass(frozen=True)
class WithLambda(Target):
    """A target whose Lambda client is `stubbed`, a stubbed client of botocore."""

    stubbed: Any = field(kw_only=True)

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.stubbed


class Account:
    """Stubs the Lambda of an account with this quota. botocore's model checks the responses."""

    def __init__(self, total: int, unreserved: int, ours: Mapping[str, int] | None = None) -> None:
        self.client: Any = session(region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b").client(
            "lambda"
        )
        self._stub = Stubber(self.client)
        limits = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}
        self._stub.add_response("get_account_settings", {"AccountLimit": limits}, {})
        for name in FUNCTIONS:
            asked = {"FunctionName": "hireflow-prod" if name == API else f"hireflow-prod-{name}"}
            if ours is None:
                self._stub.add_client_error(
                    "get_function_concurrency", "ResourceNotFoundException", expected_params=asked
                )
            else:
                found: dict[str, int] = {"ReservedConcurrentExecutions": ours[name]} if name in ours else {}
                self._stub.add_response("get_function_concurrency", found, asked)
        self._stub.activate()

    def target(self, source: Path = ROOT) -> Target:
        names = {**bucket_names("prod"), **queue_names("prod")}
        return WithLambda("prod", source, source / "work", names, {"AWS_DEFAULT_REGION": "x"}, stubbed=self.client)


def test_reservations_of_the_stage_itself_count_as_room() -> None:
    client = Account(1000, 900, {INGEST: 20, API: 50}).client
    assert quota_of(client, ["hireflow-prod" if n == API else f"hireflow-prod-{n}" for n in FUNCTIONS]) == Quota(
        1000, 900, 70
    )
    first, _ = with_reservations(Account(1000, 1000).target(), CONNECTIONS)
    again, _ = with_reservations(Account(1000, 1000 - 85, first.reserved).target(), CONNECTIONS)
    assert first.reserved == again.reserved == {INGEST: 20, API: 65}


def test_the_plan_shows_the_reservations_of_the_configuration() -> None:
    target, notes = with_reservations(Account(1000, 1000).target(), CONNECTIONS)
    shown = plan.wanted_settings(project.configuration(target), "prod")
    assert {name: each["reserved concurrency"] for name, each in shown.items()} == {
        **dict.fromkeys(FUNCTIONS),
        INGEST: 20,
        API: 65,
    }
    assert notes == ()
    # A change of the reservations changes the release, so the change is deployed.
    assert project.release(target) != project.release(replace(target, reserved={}))


def test_a_new_account_reserves_nothing_and_the_plan_says_so() -> None:
    target, notes = with_reservations(Account(10, 10).target(), CONNECTIONS)
    assert target.reserved == {}
    assert list(plan.Plan({}, notes=notes).lines())[-1] == (
        "note: only 0 of 85 concurrent executions for ingest and api_handler can be reserved, because the account's"
        " quota is 10, so a burst may use up the database's connections: ask AWS to raise the quota (Service Quotas"
        " L-B99A9384)"
    )


def test_reservations_in_the_users_configuration_stay(tmp_path: Path) -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    config["lambda_functions"]["backup"]["reserved_concurrency"] = 850
    config["stages"]["prod"] = {"lambda_functions": {INGEST: {"reserved_concurrency": 3}}}
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps(config))
    for name in ("app.py", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    target, notes = with_reservations(Account(1000, 1000).target(tmp_path), CONNECTIONS)
    assert target.reserved == {API: 900 - 853}
    assert "only 47 of 65 concurrent executions for api_handler can be reserved" in notes[0]
