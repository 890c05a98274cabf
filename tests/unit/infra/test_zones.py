"""Tests how the availability zones of a stage are chosen. The letters of zones differ from account to account."""

import random
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from infra.aws import zones
from infra.errors import CloudError

IDS = [f"use1-az{number}" for number in range(1, 7)]
LISTED = {
    "Filters": [{"Name": "state", "Values": ["available"]}, {"Name": "zone-type", "Values": ["availability-zone"]}]
}
NETWORK = {"PrivateSubnetIds": "subnet-2,subnet-1"}


def ec2(region: str = "us-east-1") -> tuple[Any, Stubber]:
    """Return a client that checks requests and responses against AWS's model, and a stub with which the test sets the
    responses."""
    session = botocore.session.get_session()
    client = session.create_client("ec2", region, aws_access_key_id="x", aws_secret_access_key="x")
    return client, Stubber(client)


def listed(ids: list[str], letters: str) -> dict[str, Any]:
    pairs = zip(ids, letters, strict=True)
    return {"AvailabilityZones": [{"ZoneId": id_, "ZoneName": f"us-east-1{letter}"} for id_, letter in pairs]}


@pytest.mark.parametrize("seed", range(8))
def test_a_new_stage_gets_zones_that_have_the_proxy_whatever_their_letters_are(seed: int) -> None:
    letters = random.Random(seed).sample("abcdef", 6)
    client, stub = ec2()
    answer = listed(IDS, "".join(letters))
    random.Random(seed).shuffle(answer["AvailabilityZones"])
    stub.add_response("describe_availability_zones", answer, LISTED)
    with stub:
        found = zones.chosen(client, {}, proxy=True)
    names = dict(zip(IDS, letters, strict=True))
    assert found == {"ZoneA": f"us-east-1{names['use1-az1']}", "ZoneB": f"us-east-1{names['use1-az2']}"}
    assert f"us-east-1{names['use1-az3']}" not in found.values()


def test_a_zone_without_the_proxy_is_never_used() -> None:
    client, stub = ec2()
    stub.add_response("describe_availability_zones", listed(["use1-az3", "use1-az6", "use1-az5"], "abc"), LISTED)
    with stub:
        assert zones.chosen(client, {}, proxy=False) == {"ZoneA": "us-east-1c", "ZoneB": "us-east-1b"}


def test_a_region_with_too_few_zones_is_refused() -> None:
    client, stub = ec2("us-west-1")
    stub.add_response("describe_availability_zones", listed(["usw1-az1", "usw1-az2"], "ab"), LISTED)
    with stub, pytest.raises(CloudError, match="us-west-1 has fewer than two zones"):
        zones.chosen(client, {}, proxy=False)


def subnets(*ids: str) -> dict[str, Any]:
    return {
        "Subnets": [
            {"SubnetId": f"subnet-{n}", "AvailabilityZone": f"us-east-1{letter}", "AvailabilityZoneId": id_}
            for n, letter, id_ in zip((1, 2), "xy", ids, strict=True)
        ]
    }


@pytest.mark.parametrize("proxy", [True, False])
def test_the_subnets_of_a_stage_keep_their_zones(proxy: bool) -> None:
    client, stub = ec2()
    stub.add_response("describe_subnets", subnets("use1-az6", "use1-az5"), {"SubnetIds": ["subnet-2", "subnet-1"]})
    with stub:
        assert zones.chosen(client, NETWORK, proxy=proxy) == {"ZoneA": "us-east-1y", "ZoneB": "us-east-1x"}


def test_a_stage_with_a_subnet_in_a_zone_without_the_proxy_cannot_get_a_proxy() -> None:
    client, stub = ec2()
    for _ in range(2):
        stub.add_response("describe_subnets", subnets("use1-az3", "use1-az5"))
    with stub:
        with pytest.raises(CloudError, match="in us-east-1x, where AWS has no RDS Proxy: choose PROFILE=small"):
            zones.chosen(client, NETWORK, proxy=True)
        assert zones.chosen(client, NETWORK, proxy=False)["ZoneB"] == "us-east-1x"


def test_the_zones_without_a_proxy_have_a_source() -> None:
    assert zones._without_proxy() == ("use1-az3", "usw1-az2")
