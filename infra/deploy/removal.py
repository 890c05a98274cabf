"""Deletes what Chalice has created for a stage. This module finds resources by name, so it needs no record."""

from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import project
from infra.deploy.policies import deployed_name
from infra.deploy.target import APP, Target

_GONE = ("ResourceNotFoundException", "NoSuchEntity", "NoSuchBucket", "NotFoundException", "404")


def remove(target: Target, report: Callable[[str], None]) -> None:
    """Delete the stage's API, triggers, functions and roles. Skip those that no longer exist.

    Logs stay until they expire. Everything that holds data stays.
    """
    report("deleting the API")
    for api in apis(target):
        _unless_gone(target.client("apigateway").delete_rest_api, restApiId=api)
    names = {deployed_name(target.stage, function): function for function in _functions(target)}
    report("deleting triggers and schedules")
    _quiet_bucket(target, set(names))
    for function in names.values():
        _delete_rule(target.client("events"), f"{target.function(function)}-event")
    report("deleting functions and roles")
    for name, function in names.items():
        _unless_gone(target.client("lambda").delete_function, FunctionName=name)
        _delete_role(target.client("iam"), target.function(function))


def remove_strays(target: Target) -> None:
    """Delete APIs that a deployment created but did not record because it crashed. No client knows these APIs."""
    known = project.api_id(target)
    for api in apis(target):
        if api != known:
            target.client("apigateway").delete_rest_api(restApiId=api)


def apis(target: Target) -> list[str]:
    """Return the ids of the stage's APIs.

    The APIs of all stages have the same name. So this function looks for APIs that invoke the stage's function.
    """
    gateway = target.client("apigateway")
    ours = f":function:{deployed_name(target.stage, 'api_handler')}/invocations"
    pages = gateway.get_paginator("get_rest_apis").paginate()
    found = [api["id"] for page in pages for api in page["items"] if api["name"] == APP]
    return [api for api in found if any(ours in uri for uri in _integrations(gateway, api))]


def _integrations(gateway: Any, api: str) -> Iterable[str]:
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api, embed=["methods"])
    for page in pages:
        for resource in page["items"]:
            for method in resource.get("resourceMethods", {}).values():
                yield method.get("methodIntegration", {}).get("uri", "")


def _functions(target: Target) -> list[str]:
    """Return the functions in the configuration and those that Chalice has recorded."""
    recorded = [r["name"] for r in project.deployed(target) if r["resource_type"] == "lambda_function"]
    return list(dict.fromkeys([*project.configuration(target)["lambda_functions"], *recorded]))


def _quiet_bucket(target: Target, functions: set[str]) -> None:
    """Remove these functions from the notifications of the landing bucket. Other notifications stay."""
    s3 = target.client("s3")
    try:
        found = s3.get_bucket_notification_configuration(Bucket=target.landing)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return
        raise
    found.pop("ResponseMetadata", None)
    called = found.get("LambdaFunctionConfigurations", [])
    left = [each for each in called if each["LambdaFunctionArn"].split(":")[6] not in functions]
    if left != called:
        configuration = {**found, "LambdaFunctionConfigurations": left}
        s3.put_bucket_notification_configuration(Bucket=target.landing, NotificationConfiguration=configuration)


def _delete_rule(events: Any, name: str) -> None:
    try:
        targets = [each["Id"] for each in events.list_targets_by_rule(Rule=name)["Targets"]]
    except events.exceptions.ResourceNotFoundException:
        return
    if targets:
        events.remove_targets(Rule=name, Ids=targets)
    _unless_gone(events.delete_rule, Name=name)


def _delete_role(iam: Any, name: str) -> None:
    try:
        policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    except iam.exceptions.NoSuchEntityException:
        return
    for policy in policies:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy in attached:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    _unless_gone(iam.delete_role, RoleName=name)


def _unless_gone(call: Callable[..., Any], **arguments: Any) -> None:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
