"""Tests that a stage does not take over the IAM roles of a stage with the same name in another region."""

from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from infra.deploy.regions import check_roles
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.venv import ROOT

ROLE = {
    "Path": "/",
    "RoleName": "hireflow-prod-backup",
    "RoleId": "AROA0000000000000000",
    "Arn": "arn:aws:iam::123456789012:role/hireflow-prod-backup",
    "CreateDate": "2026-01-01T00:00:00Z",
}


class Stubbed(Target):
    """A stage in eu-central-1. Its clients check requests and responses against AWS's model."""

    def client(self, service: str) -> Any:
        return CLIENTS[service]


def _client(service: str) -> Any:
    session = botocore.session.get_session()
    return session.create_client(service, "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


CLIENTS = {service: _client(service) for service in ("iam", "lambda")}


def check(last_used: dict[str, Any] | None, *, function: bool = False) -> None:
    with Stubber(CLIENTS["iam"]) as iam, Stubber(CLIENTS["lambda"]) as functions:
        asked = {"RoleName": "hireflow-prod-backup"}
        if last_used is None:
            iam.add_client_error("get_role", "NoSuchEntity", http_status_code=404, expected_params=asked)
        else:
            iam.add_response("get_role", {"Role": {**ROLE, "RoleLastUsed": last_used}}, asked)
        name = {"FunctionName": "hireflow-prod-backup"}
        if function:
            functions.add_response("get_function_configuration", {}, name)
        else:
            functions.add_client_error("get_function_configuration", "ResourceNotFoundException", expected_params=name)
        check_roles(Stubbed("prod", ROOT, ROOT, {}, {"AWS_DEFAULT_REGION": "eu-central-1"}))


def test_a_stage_whose_roles_another_region_uses_is_refused() -> None:
    with pytest.raises(CloudError, match=r"nothing was changed: the role .* last used in us-east-1.* another name"):
        check({"Region": "us-east-1", "LastUsedDate": "2026-11-26T00:00:00Z"})


@pytest.mark.parametrize("last_used", [None, {}, {"Region": "eu-central-1", "LastUsedDate": "2026-11-26T00:00:00Z"}])
def test_a_role_that_no_other_region_uses_is_accepted(last_used: dict[str, Any] | None) -> None:
    check(last_used)


def test_a_stage_that_is_deployed_here_is_not_refused() -> None:
    check({"Region": "us-east-1", "LastUsedDate": "2026-11-26T00:00:00Z"}, function=True)
