"""The state of a stack of the fake CloudFormation."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.account import NOW, Thing
from tests.fakes.templates import Declared, Template

Given = dict[str, Any]


@dataclass
class Resource:
    declared: Declared
    thing: Thing | None
    status: str
    properties: Any = None


@dataclass
class ChangeSet:
    id: str
    template: Template
    kind: str
    imports: list[str]
    changes: list[Given]
    refused: str = ""


@dataclass
class Stack:
    id: str
    name: str
    status: str = "REVIEW_IN_PROGRESS"
    template: Template | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    events: list[Given] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    operation: Iterator[None] | None = None
    token: str = ""
    # the resources that a failed update has changed, with their old properties
    undo: list[tuple[str, Any]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)  # all statuses that the stack has had

    def become(self, status: str) -> None:
        self.status = status
        self.statuses.append(status)
        if not status.endswith("_CLEANUP_IN_PROGRESS"):  # botocore's model knows no event with this status
            self.note(self.name, "AWS::CloudFormation::Stack", self.id, status)

    def mark(self, name: str, status: str, why: str = "") -> None:
        resource = self.resources[name]
        resource.status = status
        self.note(name, resource.declared.kind, resource.thing.physical if resource.thing else "", status, why)

    def note(self, name: str, kind: str, physical: str, status: str, why: str = "") -> None:
        about = {"StackId": self.id, "StackName": self.name, "EventId": f"{len(self.events)}", "Timestamp": NOW}
        about |= {"LogicalResourceId": name, "PhysicalResourceId": physical, "ResourceType": kind}
        about |= {"ResourceStatus": status, "ClientRequestToken": self.token or "none"}
        self.events.append({**about, **({"ResourceStatusReason": why} if why else {})})

    @property
    def physical(self) -> dict[str, str]:
        return {name: it.thing.physical for name, it in self.resources.items() if it.thing}

    @property
    def existing(self) -> dict[str, Resource]:
        gone = ("DELETE_COMPLETE", "DELETE_SKIPPED")
        return {name: it for name, it in self.resources.items() if it.thing and it.status not in gone}
