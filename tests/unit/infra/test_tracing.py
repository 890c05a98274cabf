"""Tests the setting TRACING: the configuration of Chalice, the policies, the plan, and how tracing is switched off."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from infra.deploy import project, tracing
from infra.deploy.plan import wanted_settings
from infra.deploy.policies import PolicyContext, policies
from infra.deploy.target import Target, bucket_names, queue_names
from infra.sessions import session
from infra.settings.chosen import choose
from infra.venv import ROOT

NAMES = {**bucket_names("prod"), **queue_names("prod")}
FUNCTIONS = ("hireflow-prod", "hireflow-prod-ingest")
ACTIONS = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]


@dataclass(frozen=True)
class Stubbed(Target):
    stubbed: Any = field(kw_only=True, default=None)

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.stubbed


@pytest.fixture
def target(tmp_path: Path) -> Stubbed:
    client = session(region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b").client("lambda")
    made = Stubbed("prod", ROOT, tmp_path, NAMES, {}, stubbed=client)
    record = project.record(made)
    record.parent.mkdir(parents=True)
    arns = [f"arn:aws:lambda:eu-central-1:1:function:{name}" for name in FUNCTIONS]
    deployed = [{"resource_type": "lambda_function", "lambda_arn": arn, "name": arn} for arn in arns]
    record.write_text(json.dumps({"resources": deployed}))
    return made


@pytest.mark.parametrize("on", [False, True])
def test_the_configuration_the_policies_and_the_plan_follow_the_setting(target: Stubbed, on: bool) -> None:
    traced = replace(target, tracing=on)
    config = project.configuration(traced)
    # Chalice passes this value on to functions and to API Gateway.
    assert config["stages"]["prod"].get("xray", False) is on
    assert {each["tracing"] for each in wanted_settings(config, "prod").values()} == {"Active" if on else "PassThrough"}
    made = policies(ROOT / ".chalice", "prod", config["lambda_functions"], NAMES, PolicyContext(tracing=on))
    for policy in made.values():
        allowed = [action for each in policy["Statement"] for action in each["Action"] if action.startswith("xray:")]
        assert allowed == (ACTIONS if on else [])
    # A change of the setting changes the release, so the change is deployed.
    assert (project.release(traced) == project.release(target)) is not on


def test_tracing_is_off_unless_the_setting_switches_it_on() -> None:
    assert choose("prod", {}, {}).read("TRACING") is False
    assert choose("prod", {"TRACING": "on"}, {}).read("TRACING") is True


@pytest.mark.parametrize(
    ("on", "found", "changed"), [(False, "Active", True), (True, None, True), (False, None, False)]
)
def test_only_functions_with_another_mode_are_changed(
    target: Stubbed, on: bool, found: str | None, changed: bool
) -> None:
    stub = Stubber(target.stubbed)
    for name in FUNCTIONS:
        response = {"TracingConfig": {"Mode": found}} if found else {}
        stub.add_response("get_function_configuration", response, {"FunctionName": name})
        if changed:
            mode = {"Mode": "Active" if on else "PassThrough"}
            stub.add_response("update_function_configuration", {}, {"FunctionName": name, "TracingConfig": mode})
            updated = {"Configuration": {"LastUpdateStatus": "Successful"}}
            stub.add_response("get_function", updated, {"FunctionName": name})
    with stub:
        tracing.switch(replace(target, tracing=on))
    stub.assert_no_pending_responses()
