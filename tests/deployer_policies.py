"""Reads the policies of infra/aws/templates/deployer.yaml, for the stage prod in one account. All variables are filled
in, as in IAM."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint

from infra.aws.stacks import PARTS
from tests.templates import listed, parsed, resources

ACCOUNT, REGION, STAGE = "000000000000", "us-east-1", "prod"  # the account and the region of the embedded cloud
_KNOWN = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "Stage": STAGE}
PLAN, DEPLOY = "PlanRole", "DeployRole"
_SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"
# The types of resources that AWS's macro SecretsManager-2024-09-16 adds to database.yaml. The function that rotates
# passwords needs these resources.
_OF_MACRO = ("AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::IAM::Role")


@dataclass(frozen=True)
class Statement:
    """A statement that allows each of `actions` on each of `resources`. `conditions` are the names of its condition
    keys."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[str, ...]

    def allows(self, action: str, resource: str) -> bool:
        return any(fnmatchcase(action, one) for one in self.actions) and any(
            fnmatchcase(resource, one) for one in self.resources
        )


def policies(role: str) -> dict[str, dict[str, Any]]:
    """Return the policy documents of a role, by the names that the policies have in the template. All variables are
    filled in."""
    made = parsed("deployer")["Resources"]
    attached = [one["Ref"] for one in made[role]["Properties"]["ManagedPolicyArns"]]
    return {name: _filled(made[name]["Properties"]["PolicyDocument"]) for name in attached}


def statements(role: str) -> Iterator[Statement]:
    for policy in policies(role).values():
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            keys = [key for operator in statement.get("Condition", {}).values() for key in operator]
            yield Statement(tuple(listed(statement["Action"])), tuple(listed(statement["Resource"])), tuple(keys))


def allowed(role: str, action: str, resource: str) -> bool:
    return any(one.allows(action, resource) for one in statements(role))


def _filled(tree: Any) -> Any:
    """Replace the functions of CloudFormation by their values. Conditions are true, so the stage has a database of its
    own."""
    if isinstance(tree, list):
        return [_filled(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    if "Fn::Sub" in tree:
        return re.sub(r"\$\{([\w:]+)\}", lambda found: _KNOWN[found[1]], tree["Fn::Sub"])
    if "Ref" in tree:
        return _KNOWN[tree["Ref"]]
    if "Fn::If" in tree:
        return _filled(tree["Fn::If"][1])
    return {name: _filled(value) for name, value in tree.items()}


def permissions() -> Iterator[tuple[str, str]]:
    """Yield each type of resource in the templates of a stage, with each permission in AWS's schema of this type."""
    files = json.loads((_SCHEMAS / "providers" / f"{REGION}.json").read_text())
    kinds = {it["Type"] for part in PARTS for it in resources(parsed(part)).values()}
    for kind in sorted({*kinds, *_OF_MACRO}):
        handlers = json.loads((_SCHEMAS / "resources" / f"{files[kind]}.json").read_text())["handlers"]
        for operation in ("create", "read", "update", "delete"):
            for permission in handlers.get(operation, {}).get("permissions", ()):
                yield kind, permission


@cache
def may_both_match(first: str, second: str) -> bool:
    """Return whether some text matches both patterns, in which `*` stands for any characters."""
    if not first or not second:
        return not (first + second).strip("*")
    if first[0] == "*":
        return may_both_match(first[1:], second) or may_both_match(first, second[1:])
    if second[0] == "*":
        return may_both_match(second, first)
    return first[0] == second[0] and may_both_match(first[1:], second[1:])
