"""A fake CloudFormation, which fails in the same ways as the real one.

It reads the real templates, and makes, changes and deletes their resources one by one in the account of
tests/fakes/account.py. An operation of a stack continues while the process that deploys waits, and also after this
process was killed. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html lists the
statuses of stacks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.account import NOW, FakeAccount
from tests.fakes.operations import Operations
from tests.fakes.stack import ChangeSet, Given, Resource, Stack
from tests.fakes.templates import ACCOUNT, Declared, Template, name_property, read, replacing
from tests.fakes.wire import REGION, Refused

_STEPS = 7  # resources that an operation completes while the process waits once
_UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")


@dataclass
class FakeAws(FakeAccount):
    """An account with CloudFormation."""

    stacks: list[Stack] = field(default_factory=list)
    requests: list[tuple[str, Given]] = field(default_factory=list)

    def backend(self, service: str) -> object:
        return CloudFormation(self) if service == "cloudformation" else super().backend(service)

    def sleep(self, seconds: float) -> None:
        self.admit()
        for stack in self.stacks:
            self.go_on(stack, _STEPS)

    def go_on(self, stack: Stack, steps: int) -> None:
        for _ in range(steps):
            if stack.operation is not None and next(stack.operation, self) is self:
                stack.operation = None

    def stack(self, name: str) -> Stack | None:
        """Return the existing stack with this name, or None."""
        return next((it for it in self.stacks if it.name == name and it.status != "DELETE_COMPLETE"), None)

    def status(self, name: str) -> str | None:
        stack = self.stack(name)
        return stack.status if stack else None

    def delete_by_hand(self, name: str) -> None:
        """Delete a stack as a person does, and wait until this ends."""
        stack = self.stack(name)
        if stack and (stack.status == "REVIEW_IN_PROGRESS" or not stack.status.endswith("_IN_PROGRESS")):
            CloudFormation(self).delete_stack(name)
            while stack.operation is not None:
                self.go_on(stack, 1)


@dataclass
class CloudFormation:
    aws: FakeAws

    def __post_init__(self) -> None:
        self._operations = Operations(self.aws)

    # --- requests, with the names that they have in the service

    def describe_stacks(self, StackName: str) -> Given:  # noqa: N803
        stack = self._found(StackName)
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in stack.outputs.items()]
        about = {"StackId": stack.id, "StackName": stack.name, "CreationTime": NOW, "StackStatus": stack.status}
        return {"Stacks": [{**about, "Outputs": outputs}]}

    def list_stack_resources(self, StackName: str) -> Given:  # noqa: N803
        found = self._found(StackName).resources.items()
        return {"StackResourceSummaries": [{**_listed(name, it), "LastUpdatedTimestamp": NOW} for name, it in found]}

    def describe_stack_resources(self, PhysicalResourceId: str) -> Given:  # noqa: N803
        owners = [
            {**_listed(name, it), "StackId": stack.id, "StackName": stack.name, "Timestamp": NOW}
            for stack in self.aws.stacks
            for name, it in stack.resources.items()
            if it.thing and it.thing.physical == PhysicalResourceId
        ]
        if not owners:
            raise Refused("ValidationError", f"Stack for {PhysicalResourceId} does not exist")
        return {"StackResources": owners}

    def describe_stack_events(self, StackName: str) -> Given:  # noqa: N803
        return {"StackEvents": list(reversed(self._found(StackName).events))}

    def describe_events(self, **_: Any) -> Given:
        return {"OperationEvents": []}

    def create_change_set(self, **given: Any) -> Given:
        self.aws.requests.append(("create_change_set", given))
        name, kind = given["StackName"], given["ChangeSetType"]
        stack = self.aws.stack(name)
        if kind == "CREATE":
            if stack and stack.status != "REVIEW_IN_PROGRESS":
                raise Refused("ValidationError", f"Stack [{name}] already exists and cannot be created again")
        elif stack is None:
            raise Refused("ValidationError", f"Stack [{name}] does not exist")
        elif stack.status not in _UPDATABLE:
            raise Refused("ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        values = {it["ParameterKey"]: it["ParameterValue"] for it in given.get("Parameters", ())}
        template = read(given["TemplateBody"], values)  # a wrong template is refused before the stack exists
        if stack is None:
            number = next(self.aws.numbers)
            stack = Stack(f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{number:08}", name)
            self.aws.stacks.append(stack)
        identifier = f"{stack.id.replace(':stack/', ':changeSet/')}-{given['ChangeSetName']}"
        made = self._change_set(stack, identifier, template, kind, given.get("ImportExistingResources", False))
        stack.change_sets[identifier] = made
        return {"Id": identifier, "StackId": stack.id}

    def describe_change_set(self, ChangeSetName: str) -> Given:  # noqa: N803
        stack, made = self._made(ChangeSetName)
        about = {"StackId": stack.id, "StackName": stack.name, "ChangeSetId": made.id, "Changes": made.changes}
        if made.refused:
            return {**about, "Status": "FAILED", "ExecutionStatus": "UNAVAILABLE", "StatusReason": made.refused}
        return {**about, "Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}

    def delete_change_set(self, ChangeSetName: str) -> None:  # noqa: N803
        for stack in self.aws.stacks:
            stack.change_sets.pop(ChangeSetName, None)  # AWS reports no error if there is no such change set

    def execute_change_set(self, ChangeSetName: str, ClientRequestToken: str) -> None:  # noqa: N803
        stack, made = self._made(ChangeSetName)
        if made.refused or stack.status not in (*_UPDATABLE, "REVIEW_IN_PROGRESS"):
            raise Refused("InvalidChangeSetStatus", f"ChangeSet [{made.id}] cannot be executed in its current status")
        stack.change_sets.clear()
        stack.token = ClientRequestToken
        self._begin(
            stack,
            self._operations.creation(stack, made) if made.kind == "CREATE" else self._operations.update(stack, made),
        )

    def continue_update_rollback(
        self,
        StackName: str,  # noqa: N803
        ClientRequestToken: str,  # noqa: N803
        ResourcesToSkip: Iterable[str] = (),  # noqa: N803
    ) -> None:
        stack = self._found(StackName)
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise Refused("ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
        stack.token = ClientRequestToken
        self._begin(stack, self._operations.rollback_of_update(stack, set(ResourcesToSkip)))

    def delete_stack(
        self,
        StackName: str,  # noqa: N803
        ClientRequestToken: str = "by-hand",  # noqa: N803
        RetainResources: Iterable[str] = (),  # noqa: N803
    ) -> None:
        self.aws.requests.append(("delete_stack", {"StackName": StackName, "RetainResources": list(RetainResources)}))
        try:
            stack = self._found(StackName)
        except Refused:
            return
        retained = set(RetainResources)
        if retained and stack.status != "DELETE_FAILED":
            raise Refused("ValidationError", f"Stack [{stack.name}] is not in DELETE_FAILED state")
        if unknown := retained - {name for name, it in stack.resources.items() if it.status == "DELETE_FAILED"}:
            raise Refused("ValidationError", f"Resources {sorted(unknown)} are not in DELETE_FAILED state")
        if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
            raise Refused("ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be deleted.")
        if stack.status == "DELETE_COMPLETE":
            return
        stack.token = ClientRequestToken
        self._begin(stack, self._operations.deletion(stack, retained))

    # --- change sets

    def _change_set(self, stack: Stack, identifier: str, template: Template, kind: str, imports: bool) -> ChangeSet:
        changes: list[Given] = []
        taken_over: list[str] = []
        for name, declared in template.resources.items():
            old = stack.existing.get(name)
            properties = template.value(declared.properties, stack.physical)
            if old is None:
                action = "Import" if imports and self._can_import(declared, properties) else "Add"
                taken_over += [name] if action == "Import" else []
                changes.append(_change(action, declared))
            elif properties != old.properties:
                names = {it for it in {*properties, *old.properties} if properties.get(it) != old.properties.get(it)}
                replaced = "True" if names & replacing(declared.kind) else "False"
                changes.append({**_change("Modify", declared), "Replacement": replaced})
        gone = [it.declared for name, it in stack.existing.items() if name not in template.resources]
        changes += [_change("Remove", declared) for declared in gone]
        empty = "The submitted information didn't contain changes. Submit different information to create a change set."
        wrapped = [{"Type": "Resource", "ResourceChange": change} for change in changes]
        return ChangeSet(identifier, template, kind, taken_over, wrapped, "" if changes else empty)

    def _can_import(self, declared: Declared, properties: Any) -> bool:
        if declared.deletion_policy not in ("Retain", "RetainExceptOnCreate"):
            return False
        named = declared.properties.get(name_property(declared.kind))
        if not isinstance(named, str):  # AWS imports only resources whose names contain no function
            return False
        thing = self.aws.find(declared.kind, named)
        return thing is not None and thing.owner is None

    # --- look-ups

    def _begin(self, stack: Stack, operation: Iterator[None]) -> None:
        stack.operation = operation
        next(operation)  # the first step changes the status

    def _found(self, name: str) -> Stack:
        by_id = next((it for it in self.aws.stacks if it.id == name), None)
        stack = by_id or self.aws.stack(name)
        if stack is None:
            raise Refused("ValidationError", f"Stack with id {name} does not exist")
        return stack

    def _made(self, identifier: str) -> tuple[Stack, ChangeSet]:
        for stack in self.aws.stacks:
            if identifier in stack.change_sets:
                return stack, stack.change_sets[identifier]
        raise Refused("ChangeSetNotFound", f"ChangeSet [{identifier}] does not exist")


def _listed(name: str, resource: Resource) -> Given:
    about = {"LogicalResourceId": name, "ResourceType": resource.declared.kind, "ResourceStatus": resource.status}
    return {**about, **({"PhysicalResourceId": resource.thing.physical} if resource.thing else {})}


def _change(action: str, declared: Declared) -> Given:
    return {"Action": action, "LogicalResourceId": declared.name, "ResourceType": declared.kind}
