"""Tests how changes to a stack are described."""

from typing import Any

import pytest

from infra.aws.changes import Change


def described(**more: Any) -> dict[str, Any]:
    """Return a ResourceChange in the form in which AWS's DescribeChangeSet returns it."""
    return {"LogicalResourceId": "Cluster", "ResourceType": "AWS::RDS::DBCluster", "Action": "Modify", **more}


@pytest.mark.parametrize(
    ("change", "replacement", "expected"),
    [
        (described(Replacement="False"), False, "Modify Cluster (AWS::RDS::DBCluster)"),
        (described(Replacement="True"), True, "Modify Cluster (AWS::RDS::DBCluster), replaced"),
        (described(Replacement="Conditional"), None, "Modify Cluster (AWS::RDS::DBCluster), perhaps replaced"),
        (described(Action="Add"), False, "Add Cluster (AWS::RDS::DBCluster)"),
    ],
)
def test_a_change_says_whether_it_replaces_the_resource(
    change: dict[str, Any], replacement: bool | None, expected: str
) -> None:
    found = Change.of(change)
    assert (found.name, found.replacement, str(found)) == ("Cluster", replacement, expected)
