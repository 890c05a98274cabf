"""The deployed configuration: every stage has a policy, and no policy reaches beyond its stage."""

import json
from typing import Any

import pytest

from infra.deploy.target import bucket_names
from infra.local.commands import STAGES
from infra.venv import ROOT

CONFIG: dict[str, Any] = json.loads((ROOT / ".chalice" / "config.json").read_text())


def statements(stage: str) -> list[dict[str, Any]]:
    policy = json.loads((ROOT / ".chalice" / CONFIG["stages"][stage]["iam_policy_file"]).read_text())
    found = policy["Statement"]
    assert found
    return list(found)


def test_every_stage_of_the_commands_is_configured() -> None:
    assert set(STAGES) <= set(CONFIG["stages"])
    assert CONFIG["autogen_policy"] is False


@pytest.mark.parametrize("stage", STAGES)
def test_a_policy_names_the_buckets_of_its_stage_and_no_other(stage: str) -> None:
    named = set()
    for statement in statements(stage):
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            if ":s3:" in resource:
                named.add(resource.removeprefix("arn:aws:s3:::").partition("/")[0])
    assert named == set(bucket_names(stage).values())


@pytest.mark.parametrize("stage", STAGES)
def test_a_policy_allows_no_wildcard_action(stage: str) -> None:
    actions = [action for statement in statements(stage) for action in statement["Action"]]
    assert not [action for action in actions if "*" in action]


@pytest.mark.parametrize("stage", STAGES)
def test_the_landing_bucket_is_written_below_restores_only(stage: str) -> None:
    landing = bucket_names(stage)["LANDING_BUCKET"]
    for statement in statements(stage):
        if any(action.startswith(("s3:Put", "s3:Delete")) for action in statement["Action"]):
            resource = statement["Resource"]
            assert landing not in resource or resource == f"arn:aws:s3:::{landing}/restores/*"


def test_no_stage_fixes_the_endpoint_that_emulators_inject() -> None:
    assert "AWS_ENDPOINT_URL" not in json.dumps(CONFIG)
