"""Chooses the two availability zones of a stage.

The name of a zone, such as us-east-1a, means different zones in different accounts. The id of a zone, such as use1-az1,
means the same zone in all accounts. zones.json lists the ids of the zones that have no RDS Proxy. New stages do not use
these zones, so that every stage can change to the profile `standard`.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from infra.errors import CloudError


def chosen(ec2: Any, network: Mapping[str, str], *, proxy: bool) -> dict[str, str]:
    """Return the parameters ZoneA and ZoneB of network.yaml.

    `network` are the outputs of the stack `network`, or empty if the stage has no network yet. An existing network
    keeps its zones, because CloudFormation would replace a subnet that moves to another zone. Raises CloudError if
    `proxy` is true and one of these zones has no RDS Proxy.
    """
    if not network:
        return dict(zip(("ZoneA", "ZoneB"), _new(ec2), strict=True))
    wanted = network["PrivateSubnetIds"].split(",")
    found = {subnet["SubnetId"]: subnet for subnet in ec2.describe_subnets(SubnetIds=wanted)["Subnets"]}
    subnets = [found[name] for name in wanted]
    lacking = [it["AvailabilityZone"] for it in subnets if it.get("AvailabilityZoneId") in _without_proxy()]
    if proxy and lacking:
        raise CloudError(
            f"the subnets of the stage are in {', '.join(lacking)}, where AWS has no RDS Proxy: choose PROFILE=small,"
            " or destroy the stage and deploy it again, which puts its subnets into other zones"
        )
    return {name: subnet["AvailabilityZone"] for name, subnet in zip(("ZoneA", "ZoneB"), subnets, strict=True)}


def _new(ec2: Any) -> list[str]:
    """Return the names of the first two suitable zones, in the order of their ids."""
    listed = ec2.describe_availability_zones(
        Filters=[{"Name": "state", "Values": ["available"]}, {"Name": "zone-type", "Values": ["availability-zone"]}]
    )["AvailabilityZones"]
    suitable = sorted((zone["ZoneId"], zone["ZoneName"]) for zone in listed if zone["ZoneId"] not in _without_proxy())
    if len(suitable) < 2:
        raise CloudError(
            f"the region {ec2.meta.region_name} has fewer than two zones in which the database can run: choose another"
            " region"
        )
    return [name for _, name in suitable[:2]]


@cache
def _without_proxy() -> tuple[str, ...]:
    return tuple(json.loads(Path(__file__).with_name("zones.json").read_text())["without_proxy"])
