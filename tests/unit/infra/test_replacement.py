"""Tests how a deployment detects that it replaces the database, and what it says about the replacement.
tests/e2e/test_profiles.py replaces databases."""

from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from infra.aws.profiles import PROFILES, SMALL, TINY, Kind
from infra.deploy import replacement
from infra.deploy.target import Target
from infra.venv import ROOT

STACKS = {
    "database": {"ProxyEndpoint": "proxy.example", "ClusterEndpoint": "cluster.example"},
    "instance": {"InstanceEndpoint": "instance.example"},
}


def stubbed(service: str) -> tuple[Any, Stubber]:
    session = botocore.session.get_session()
    client = session.create_client(service, "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    return client, Stubber(client)


def present(variables: dict[str, str] | None, stacks: dict[str, dict[str, str]] = STACKS) -> Kind | None:
    client, stub = stubbed("lambda")

    class Stubbed(Target):
        def client(self, service: str) -> Any:
            return client

    name = {"FunctionName": "hireflow-prod-backup"}
    if variables is None:
        stub.add_client_error("get_function_configuration", "ResourceNotFoundException", expected_params=name)
    else:
        stub.add_response("get_function_configuration", {"Environment": {"Variables": variables}}, name)
    with stub:
        return replacement.deployed_kind(Stubbed("prod", ROOT, ROOT, {}, {}), stacks)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (None, None),
        ({}, None),
        ({"DATABASE_SECRET": "hireflow-prod-database"}, "own"),
        ({"DATABASE_URL": "postgresql+pg8000://hireflow_app@proxy.example:5432/hireflow"}, "aurora"),
        ({"DATABASE_URL": "postgresql+pg8000://hireflow_app@cluster.example:5432/hireflow"}, "aurora"),
        ({"DATABASE_URL": "postgresql+pg8000://hireflow_app@instance.example:5432/hireflow"}, "instance"),
        ({"DATABASE_URL": "postgresql+pg8000://hireflow_app@gone.example:5432/hireflow"}, None),
    ],
)
def test_the_deployed_functions_show_which_database_the_stage_uses(
    variables: dict[str, str] | None, expected: Kind | None
) -> None:
    assert present(variables) == expected


def test_a_database_that_no_longer_exists_is_not_replaced() -> None:
    assert present({"DATABASE_URL": "postgresql+pg8000://hireflow_app@proxy.example:5432/hireflow"}, {}) is None


def test_a_plan_says_in_capitals_what_is_lost() -> None:
    first, second, *rest = replacement.warnings("prod", "aurora", TINY)
    assert first == "THE DATABASE IS REPLACED BY AN EMPTY ONE (Aurora -> an RDS instance)"
    assert second.startswith("TOKENS, THE HISTORY OF LOADS")
    assert rest[-1] == "a final snapshot of the old database is kept; make deploy needs YES=prod for this change"
    assert list(replacement.warnings("prod", "own", SMALL))[-1].startswith("your own Postgres is left as it is")


def test_the_refusal_says_what_to_do() -> None:
    said = replacement.refusal("prod", "own", SMALL)
    assert said.startswith("nothing was changed: PROFILE=small replaces the database of stage prod (your own Postgres)")
    assert said.endswith("read make plan STAGE=prod, then add YES=prod to confirm it")


@pytest.mark.parametrize(
    ("used", "remedy"),
    [("", "leave DATABASE_SNAPSHOT out, with RESET=DATABASE_SNAPSHOT"), ("before", "set DATABASE_SNAPSHOT=before")],
)
def test_another_snapshot_is_refused_because_it_would_replace_the_database(used: str, remedy: str) -> None:
    assert remedy in replacement.wrong_snapshot("prod", used)


def test_the_advice_names_the_command_that_restores_the_rows() -> None:
    assert "./hireflow restore all --point 20261127T001122.123456Z" in " ".join(
        replacement.advice("prod", "20261127T001122.123456Z")
    )


@pytest.mark.parametrize("old", ["standard", "small", "tiny"])
@pytest.mark.parametrize("new", ["standard", "small", "tiny"])
def test_the_network_serves_the_old_and_the_new_functions_during_the_change(old: str, new: str) -> None:
    one, other = (PROFILES[name].parameters_of("network") for name in (old, new))
    found = replacement.network_for_both(one, other)
    assert found["EndpointZones"] == max(one["EndpointZones"], other["EndpointZones"])
    assert found["SecretsEndpoint"] == ("true" if "standard" in (old, new) else "false")


def test_a_network_of_a_release_without_profiles_has_all_endpoints() -> None:
    """The outputs of such a network do not name its endpoints."""
    found = replacement.network_for_both({"VpcId": "vpc-1"}, TINY.parameters_of("network"))
    assert (found["EndpointZones"], found["SecretsEndpoint"]) == ("2", "true")
    assert replacement.network_for_both({}, TINY.parameters_of("network")) == TINY.parameters_of("network")
