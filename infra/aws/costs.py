"""Computes what a stage costs in a month at rest: its resources and schedules run, and nobody loads a file.

This module counts the resources in the templates, and reads the prices from prices.json.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chalicelib.core import schedules
from chalicelib.monitoring.metrics import UNITS
from infra.aws.composition import composed
from infra.aws.evaluation import Template, applied, loaded, resources, values
from infra.aws.profiles import Profile

_HOURS = 730  # of a mean month
_MINUTES = 60 * _HOURS
_SECRETS_OF_OWN_DATABASE = 2  # the URLs with the passwords of the database owner and of the functions
# Assumptions about a stage at rest, rounded up.
_AURORA_GB, _AURORA_MILLION_REQUESTS, _LOG_GB = 1, 1, 0.5
_RUNS = (  # of each schedule: minutes between two runs; of a run: GB of memory, seconds, PUT and LIST requests to S3
    (schedules.BACKUP_MINUTES, 1.0, 0.3, 2),
    (schedules.SWEEP_MINUTES, 0.5, 0.3, 3),
    (1, 0.5, 0.4, 0),  # the relay and the function that it invokes
)


DATABASE, PROXY, ENDPOINTS, WATCHING, RUNNING = GROUPS = (
    "the database",
    "its proxy",
    "endpoints of AWS services",
    "alarms, metrics, dashboard, secrets",
    "schedules: functions, requests, logs",
)


@dataclass(frozen=True)
class Cost:
    """The cost of one thing, in USD a month. `group` is one of GROUPS. `usd` is None if prices.json lacks the price."""

    group: str
    what: str
    usd: float | None


def monthly(profile: Profile, own: Mapping[str, Mapping[str, str]], templates: Path) -> list[Cost]:
    """Return the costs of a stage with this profile. `own` are the stage's own parameters, by stack."""
    found, known = list[tuple[str, dict[str, Any], int]](), dict[str, str]()
    for part in profile.parts:
        given = {**profile.parameters_of(part), **own.get(part, {})}
        template: Template = loaded(composed(templates, part, given))
        known |= values(template, given)
        found += resources(applied(template, given)["Resources"])
    return [*_database(found, known), *_endpoints(found), *_watching(found, profile), *_schedules()]


def lines(costs: list[Cost], region: str) -> Iterator[str]:
    """Yield the lines of a plan that show these costs. `region` is the region of the stage."""
    table = _table()
    yield f"cost of a month without loads, in USD (list prices of {table['region']}, {table['date']}):"
    for cost in costs:
        yield f"  {cost.what}: {'not in the price table' if cost.usd is None else format(cost.usd, '.2f')}"
    known = sum(cost.usd or 0 for cost in costs)
    least = "at least " if any(cost.usd is None for cost in costs) else ""
    yield f"  together: {least}{known:.2f}; requests, loads, growing data and data transfer cost extra"
    if region != table["region"]:
        yield f"  the prices in {region} differ from these prices, mostly by less than a third"


def table(profiles: list[Profile], templates: Path) -> str:
    """Return a Markdown table of the costs of these profiles: a row for each group, a column for each profile."""
    columns = [monthly(profile, {}, templates) for profile in profiles]
    lines = [
        [group, *(sum(cost.usd or 0 for cost in costs if cost.group == group) for costs in columns)] for group in GROUPS
    ]
    lines.append(["**together**", *(sum(cost.usd or 0 for cost in costs) for costs in columns)])
    cells = [[name if isinstance(name, str) else f"{name:.2f}" for name in line] for line in lines]
    head = ["USD a month", *(f"`{each.name}`" for each in profiles)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells))


def _database(found: list[tuple[str, dict[str, Any], int]], known: Mapping[str, str]) -> Iterator[Cost]:
    classes = [properties["DBInstanceClass"] for kind, properties, _ in found if kind == "AWS::RDS::DBInstance"]
    serverless = classes.count("db.serverless")
    if serverless:
        units = serverless * float(known["MinCapacity"])
        yield Cost(
            DATABASE, f"Aurora, {serverless} x {known['MinCapacity']} ACU", units * _price("aurora-acu-hour") * _HOURS
        )
        stored = _AURORA_GB * _price("aurora-gb-month") + _AURORA_MILLION_REQUESTS * _price("aurora-million-requests")
        yield Cost(DATABASE, "Aurora, storage and its requests", stored)
    elif classes:
        hour = _table()["prices"].get(f"{known['InstanceClass']}-hour")
        yield Cost(DATABASE, f"RDS, {known['InstanceClass']}", hour and hour["usd"] * _HOURS)
        size = float(known["StorageSize"])
        yield Cost(DATABASE, f"RDS, {size:.0f} GiB of storage", size * _price("instance-gb-month"))
    if any(kind == "AWS::RDS::DBProxy" for kind, *_ in found):
        least = float(_table()["prices"]["proxy-acu-hour"]["minimum"])
        yield Cost(PROXY, f"RDS Proxy, at least {least:.0f} ACU", least * _price("proxy-acu-hour") * _HOURS)


def _endpoints(found: list[tuple[str, dict[str, Any], int]]) -> Iterator[Cost]:
    paid = [
        len(properties["SubnetIds"])
        for kind, properties, _ in found
        if kind == "AWS::EC2::VPCEndpoint" and properties["VpcEndpointType"] == "Interface"
    ]
    if paid:
        zones = "one zone" if max(paid) == 1 else f"{max(paid)} zones"
        yield Cost(ENDPOINTS, f"{len(paid)} endpoints in {zones}", sum(paid) * _price("endpoint-zone-hour") * _HOURS)


def _watching(found: list[tuple[str, dict[str, Any], int]], profile: Profile) -> Iterator[Cost]:
    alarms = sum(times for kind, _, times in found if kind == "AWS::CloudWatch::Alarm")
    yield Cost(WATCHING, f"{alarms} alarms", alarms * _price("alarm-month"))
    yield Cost(
        WATCHING,
        f"{len(UNITS)} metrics and a dashboard",
        len(UNITS) * _price("metric-month") + _price("dashboard-month"),
    )
    made = sum(kind == "AWS::SecretsManager::Secret" for kind, *_ in found)
    by_rds = sum(bool(properties.get("ManageMasterUserPassword")) for _, properties, _ in found)
    secrets = _SECRETS_OF_OWN_DATABASE if profile.database == "own" else made + by_rds
    yield Cost(WATCHING, f"{secrets} secret{'s' if secrets > 1 else ''}", secrets * _price("secret-month"))


def _schedules() -> Iterator[Cost]:
    runs = [(_MINUTES / minutes, memory, seconds, writes) for minutes, memory, seconds, writes in _RUNS]
    computing = sum(count * memory * seconds for count, memory, seconds, _ in runs) * _price("lambda-gb-second")
    requests = sum(count for count, *_ in runs) / 1e6 * _price("lambda-million-requests")
    yield Cost(RUNNING, "functions of the schedules", computing + requests)
    yield Cost(
        RUNNING,
        "requests to S3",
        sum(count * writes for count, *_, writes in runs) / 1000 * _price("s3-thousand-writes"),
    )
    yield Cost(RUNNING, "logs", _LOG_GB * _price("log-gb"))


def _price(name: str) -> float:
    return float(_table()["prices"][name]["usd"])


@cache
def _table() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_name("prices.json").read_text()))
