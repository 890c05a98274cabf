"""Tests the declared profiles of stages on AWS, their costs, and the page that describes them."""

import re
from typing import Any

import pytest

from infra.aws import costs
from infra.aws.__main__ import PAGE, with_table
from infra.aws.composition import composed
from infra.aws.evaluation import applied, loaded
from infra.aws.profiles import EXISTING, PROFILES, SMALL, STANDARD, TINY, changes, replaces_database
from infra.aws.stacks import PARTS, TEMPLATES
from infra.deploy.parameters import profile_of
from infra.settings.chosen import choose

OWN = {"DATABASE_URL": "postgresql+pg8000://boss:s3cret@db.example/hireflow"}


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, STANDARD),
        (OWN, EXISTING),
        ({"PROFILE": "existing", **OWN}, EXISTING),
        ({"PROFILE": "small"}, SMALL),
        ({"PROFILE": "tiny"}, TINY),
    ],
)
def test_a_stage_without_a_profile_keeps_what_it_has(env: dict[str, str], expected: Any) -> None:
    assert profile_of(choose("prod", env, {})) == expected


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_the_stacks_of_a_profile_are_in_the_order_of_all_stacks(profile: Any) -> None:
    assert profile.parts == tuple(part for part in PARTS if part in profile.parts)


def test_only_a_change_of_the_kind_of_database_replaces_it() -> None:
    names = {
        (old.name, new.name)
        for old in PROFILES.values()
        for new in PROFILES.values()
        if replaces_database(old.database, new)
    }
    same = {("standard", "small"), ("small", "standard"), *((name, name) for name in PROFILES)}
    assert names == {(old, new) for old in PROFILES for new in PROFILES} - same
    assert not any(replaces_database(None, new) for new in PROFILES.values())  # None: nothing is deployed yet


def test_the_plan_says_in_capitals_that_the_proxy_is_added_or_removed() -> None:
    proxy, direct = {"ProxyEndpoint": "p", "ClusterEndpoint": "c"}, {"ClusterEndpoint": "c"}
    assert [line.partition(".")[0] for line in changes(proxy, SMALL)] == ["THE PROXY AND THE STANDBY ARE REMOVED"]
    assert [line.partition(".")[0] for line in changes(direct, STANDARD)] == ["THE PROXY AND THE STANDBY ARE ADDED"]
    assert "ALL DATA STAY" in changes(proxy, SMALL)[0]
    for outputs, profile in ((proxy, STANDARD), (direct, SMALL), (proxy, TINY), ({}, STANDARD)):
        assert changes(outputs, profile) == []


# The monthly costs in USD of a stage without load, according to the list prices. `small` costs 69, because only two
# services have an endpoint. `existing` costs 10, because metrics and the dashboard count with their list prices.
@pytest.mark.parametrize(("name", "least", "most"), [
    ("standard", 225, 235), ("small", 65, 75), ("tiny", 20, 28), ("existing", 5, 12),
])  # fmt: skip
def test_the_costs_of_a_profile(name: str, least: float, most: float) -> None:
    assert least < sum(cost.usd or 0 for cost in costs.monthly(PROFILES[name], {}, TEMPLATES)) < most


def by_name(name: str, **own: dict[str, str]) -> dict[str, float | None]:
    return {cost.what: cost.usd for cost in costs.monthly(PROFILES[name], own, TEMPLATES)}


def test_costs_follow_the_resources_of_the_templates() -> None:
    standard = by_name("standard")
    assert standard["Aurora, 2 x 0.5 ACU"] == pytest.approx(2 * 0.5 * 0.12 * 730)
    assert standard["RDS Proxy, at least 8 ACU"] == pytest.approx(8 * 0.015 * 730)
    assert standard["3 endpoints in 2 zones"] == pytest.approx(3 * 2 * 0.01 * 730)
    assert by_name("small")["2 endpoints in one zone"] == pytest.approx(2 * 0.01 * 730)
    assert by_name("tiny")["RDS, db.t4g.micro"] == pytest.approx(0.016 * 730)
    assert not [what for what in by_name("tiny") if "endpoint" in what]


def test_costs_follow_the_parameters_of_the_stage() -> None:
    changed = by_name("standard", database={"Standby": "false", "MinCapacity": "1"})
    assert changed["Aurora, 1 x 1 ACU"] == pytest.approx(0.12 * 730)
    assert by_name("tiny", instance={"StorageSize": "40"})["RDS, 40 GiB of storage"] == pytest.approx(4.6)


def test_a_class_without_a_known_price_is_named() -> None:
    found = costs.monthly(TINY, {"instance": {"InstanceClass": "db.r8g.large"}}, TEMPLATES)
    lines = list(costs.lines(found, "us-east-1"))
    assert "  RDS, db.r8g.large: not in the price table" in lines
    assert any(line.startswith("  together: at least ") for line in lines)


def test_a_plan_says_that_prices_of_another_region_differ() -> None:
    found = costs.monthly(TINY, {}, TEMPLATES)
    at_home, abroad = (list(costs.lines(found, region)) for region in ("us-east-1", "eu-central-1"))
    assert at_home[0].endswith(":")
    assert "us-east-1" in at_home[0]
    assert [line for line in abroad if line not in at_home] == [
        "  the prices in eu-central-1 differ from these prices, mostly by less than a third"
    ]


def test_every_price_has_a_source() -> None:
    prices = costs._table()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", prices["date"])
    for name, price in prices["prices"].items():
        assert price["usd"] > 0, name
        assert price["source"].startswith("https://aws.amazon.com/"), name


def test_the_page_about_aws_has_the_current_costs() -> None:
    text = PAGE.read_text()
    assert with_table(text) == text, "run: .venv/bin/python -m infra.aws"


def test_the_readme_has_the_current_costs() -> None:
    readme = (TEMPLATES.parents[2] / "README.md").read_text()
    for profile in PROFILES.values():
        total = sum(cost.usd or 0 for cost in costs.monthly(profile, {}, TEMPLATES))
        assert re.search(rf"\b{total:.0f} (USD )?\(`{profile.name}`\)", readme), (profile.name, total)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_the_page_about_aws_describes_the_profile(profile: Any) -> None:
    assert f"| `{profile.name}` | {profile.about} | {profile.lacks} |" in PAGE.read_text()


def test_conditions_of_a_template_are_applied() -> None:
    template = {
        "Parameters": {"A": {"Default": "x"}, "B": {}},
        "Conditions": {
            "Is": {"Fn::Equals": [{"Ref": "A"}, "x"]},
            "Not": {"Fn::Not": [{"Condition": "Is"}]},
            "Both": {"Fn::And": [{"Condition": "Is"}, {"Fn::Equals": [{"Ref": "B"}, "1"]}]},
        },
        "Resources": {
            "One": {"Type": "T", "Condition": "Is", "P": {"Fn::If": ["Both", 1, {"Ref": "AWS::NoValue"}]}},
            "Two": {"Type": "T", "Condition": "Not"},
            "Three": {"Type": "T", "L": [1, {"Fn::If": ["Not", 2, {"Ref": "AWS::NoValue"}]}]},
        },
    }
    one, three = {"Type": "T", "Condition": "Is"}, {"Type": "T", "L": [1]}
    assert applied(template, {})["Resources"] == {"One": one, "Three": three}
    assert applied(template, {"B": "1"})["Resources"]["One"] == {**one, "P": 1}
    assert set(applied(template, {"A": "y"})["Resources"]) == {"Two", "Three"}


def test_an_instance_can_take_a_snapshot_of_an_instance_that_had_grown_to_its_limit() -> None:
    """RDS refuses less storage than the snapshot has, and a limit that is less than a tenth above the storage."""
    template: Any = loaded(composed(TEMPLATES, "instance", {}))
    size, limit = (template["Parameters"][name] for name in ("StorageSize", "StorageLimit"))
    assert template["Resources"]["Instance"]["Properties"]["MaxAllocatedStorage"] == {"Ref": "StorageLimit"}
    assert size["MaxValue"] >= limit["Default"]
    assert limit["Default"] >= 1.1 * size["Default"]
    assert limit["MaxValue"] >= 1.1 * size["MaxValue"]
