"""Tests that a name of a stage that AWS would refuse is refused before any request."""

import re
from typing import Any

import pytest

from infra.aws.profiles import EXISTING, SMALL, STANDARD, TINY
from infra.deploy import stage_names
from infra.deploy.stage_stacks import StageStacks
from infra.errors import CloudError
from infra.settings.chosen import choose
from infra.venv import ROOT
from tests.templates import parsed

LONGEST = "a" * 16
REGIONS = ("us-gov-west-1", "ap-southeast-1", "eusc-de-east-1", "cn-northwest-1")


@pytest.mark.parametrize("stage", ["Prod", "1st", "a" * 17, "prod_eu", "-a", "prod\n", "prod.eu"])
def test_names_that_the_templates_refuse_are_refused_with_what_is_allowed(stage: str) -> None:
    assert not re.fullmatch(parsed("storage")["Parameters"]["Stage"]["AllowedPattern"], stage)
    with pytest.raises(CloudError, match="choose at most 16 small letters, digits and hyphens"):
        stage_names.check(stage)


@pytest.mark.parametrize("stage", ["prod", "a", LONGEST, "a-b-1", "prod-", "a--b"])
def test_names_that_the_templates_accept_are_accepted(stage: str) -> None:
    assert re.fullmatch(parsed("storage")["Parameters"]["Stage"]["AllowedPattern"], stage)
    stage_names.check(stage)
    stage_names.check_database(stage, EXISTING)


@pytest.mark.parametrize("stage", ["prod-", "a--b"])
@pytest.mark.parametrize("profile", [STANDARD, SMALL, TINY], ids=lambda profile: profile.name)
def test_a_database_of_rds_has_no_hyphens_together_or_at_the_end(stage: str, profile: Any) -> None:
    def no_request(service: str) -> Any:
        raise AssertionError(service)

    account: Any = no_request
    made = StageStacks(stage, ROOT, account, account, print)
    with pytest.raises(CloudError, match="cannot be the name of a stage with a database of RDS"):
        made.replaced(account, choose(stage, {"PROFILE": profile.name}, {}))


@pytest.mark.parametrize("region", REGIONS)
def test_a_bucket_of_the_longest_stage_has_at_most_63_characters(region: str) -> None:
    for name, resource in parsed("storage")["Resources"].items():
        if resource["Type"] == "AWS::S3::Bucket":
            text = resource["Properties"]["BucketName"]["Fn::Sub"]
            for variable, value in (("Stage", LONGEST), ("AWS::AccountId", "1" * 12), ("AWS::Region", region)):
                text = text.replace(f"${{{variable}}}", value)
            assert len(text) <= 63, name
