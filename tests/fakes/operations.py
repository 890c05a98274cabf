"""The operations of the fake CloudFormation on a stack. Each operation yields after every resource."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.account import Failed, FakeAccount
from tests.fakes.stack import ChangeSet, Resource, Stack
from tests.fakes.templates import Declared, Template, name_property, replacing


@dataclass
class Operations:
    account: FakeAccount

    def creation(self, stack: Stack, made: ChangeSet) -> Iterator[None]:
        stack.template = made.template
        stack.become("CREATE_IN_PROGRESS")
        yield
        try:
            for declared in made.template.resources.values():
                self._make(stack, made, declared)
                yield
        except Failed:
            yield from self._rollback_of_creation(stack)
        else:
            self._complete(stack, made.template)
            stack.become("CREATE_COMPLETE")

    def _make(self, stack: Stack, made: ChangeSet, declared: Declared) -> None:
        properties = made.template.value(declared.properties, stack.physical)
        stack.resources[declared.name] = resource = Resource(declared, None, "CREATE_IN_PROGRESS", properties)
        try:
            if declared.name in made.imports:
                thing = self.account.find(declared.kind, properties[name_property(declared.kind)])
                if thing is None or thing.owner is not None:
                    raise Failed("The resource to import does not exist.")
                thing.owner, thing.properties = stack.id, properties
                resource.thing = thing
            else:
                resource.thing = self.account.make(declared.name, declared.kind, properties, stack.id)
        except Failed as error:
            mine = [it for it in self.account.of_kind(declared.kind) if it.owner == stack.id]
            known = [it.thing for it in stack.resources.values()]
            resource.thing = next((it for it in mine if it not in known), None)  # the resource exists, but is not ready
            stack.mark(declared.name, "CREATE_FAILED", str(error))
            stack.note("Another", declared.kind, "", "CREATE_FAILED", "Resource creation cancelled")
            raise
        stack.mark(declared.name, "CREATE_COMPLETE")

    def _rollback_of_creation(self, stack: Stack) -> Iterator[None]:
        stack.become("ROLLBACK_IN_PROGRESS")
        yield
        failed = yield from self._delete(stack, list(stack.existing), set())
        stack.become("ROLLBACK_FAILED" if failed else "ROLLBACK_COMPLETE")

    def deletion(self, stack: Stack, retained: set[str]) -> Iterator[None]:
        stack.become("DELETE_IN_PROGRESS")
        yield
        failed = yield from self._delete(stack, list(stack.existing), retained)
        stack.become("DELETE_FAILED" if failed else "DELETE_COMPLETE")

    def _delete(self, stack: Stack, names: list[str], retained: set[str]) -> Any:
        """Delete resources, the last one first. Return whether a deletion failed. A resource that another resource uses
        stays."""
        failed = False
        for name in reversed(names):
            resource = stack.resources[name]
            if resource.thing is None or any(name in it.declared.needs for it in stack.existing.values()):
                continue
            if name in retained or resource.declared.deletion_policy == "Retain":
                resource.thing.owner = None
                stack.mark(name, "DELETE_SKIPPED")
                continue
            try:
                self.account.unmake(name, resource.thing, resource.declared.deletion_policy)
            except Failed as error:
                failed = True
                stack.mark(name, "DELETE_FAILED", str(error))
            else:
                stack.mark(name, "DELETE_COMPLETE")
            yield
        return failed or any(name in stack.existing for name in names)

    def update(self, stack: Stack, made: ChangeSet) -> Iterator[None]:
        stack.undo, stack.added = [], []
        stack.become("UPDATE_IN_PROGRESS")
        yield
        try:
            for declared in made.template.resources.values():
                self._add_or_change(stack, made, declared)
                yield
        except Failed:
            yield from self.rollback_of_update(stack, set())
            return
        stack.become("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        yield from self._clean_up(stack, [name for name in stack.existing if name not in made.template.resources])
        stack.template = made.template
        self._complete(stack, made.template)
        stack.become("UPDATE_COMPLETE")

    def _add_or_change(self, stack: Stack, made: ChangeSet, declared: Declared) -> None:
        if declared.name not in stack.existing:
            stack.added.append(declared.name)
            self._make(stack, made, declared)
            return
        resource = stack.resources[declared.name]
        properties = made.template.value(declared.properties, stack.physical)
        if properties == resource.properties:
            resource.declared = declared
            return
        assert resource.thing
        changed = {
            it for it in {*properties, *resource.properties} if properties.get(it) != resource.properties.get(it)
        }
        assert not changed & replacing(declared.kind), f"{declared.name} would be replaced: {changed}"
        try:
            self.account.change(declared.name, resource.thing, properties, "update")
        except Failed as error:
            stack.mark(declared.name, "UPDATE_FAILED", str(error))
            raise
        stack.undo.append((declared.name, resource.properties))
        resource.properties, resource.declared = properties, declared
        stack.mark(declared.name, "UPDATE_COMPLETE")

    def rollback_of_update(self, stack: Stack, skipped: set[str]) -> Iterator[None]:
        stack.become("UPDATE_ROLLBACK_IN_PROGRESS")
        yield
        while stack.undo:
            name, properties = stack.undo[-1]
            resource = stack.resources[name]
            assert resource.thing
            try:
                if name not in skipped:
                    self.account.change(name, resource.thing, properties, "rollback")
            except Failed as error:
                stack.mark(name, "UPDATE_FAILED", str(error))
                stack.become("UPDATE_ROLLBACK_FAILED")
                return
            resource.properties = properties
            stack.undo.pop()
            stack.mark(name, "UPDATE_COMPLETE")
            yield
        stack.become("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        yield from self._clean_up(stack, [name for name in stack.added if name in stack.existing])
        stack.become("UPDATE_ROLLBACK_COMPLETE")

    def _clean_up(self, stack: Stack, names: list[str]) -> Iterator[None]:
        """Delete resources that the stack no longer has. CloudFormation drops those that it cannot delete from the
        stack."""
        yield from self._delete(stack, names, set())
        for name in names:
            resource = stack.resources.pop(name)
            if resource.thing:
                resource.thing.owner = None

    def _complete(self, stack: Stack, template: Template) -> None:
        stack.outputs = {name: str(template.value(tree, stack.physical)) for name, tree in template.outputs.items()}
