"""Creates, plans and deletes the stacks of a stage. The profile decides which stacks the stage needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.aws import costs, profiles, zones
from infra.aws.cloud import Cloud
from infra.aws.profiles import PART_OF, Kind
from infra.deploy import ordered_stacks, parameters, regions, replacement, stage_names
from infra.deploy.ordered_stacks import Outputs, Stacks
from infra.deploy.parameters import profile_of
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.settings.chosen import Chosen


@dataclass(frozen=True)
class StageStacks:
    """The stacks of one stage in the account `cloud`. `source` holds the stage's parameters."""

    stage: str
    source: Path
    stacks: Stacks
    cloud: Cloud
    report: Callable[[str], None]

    def parts(self, chosen: Chosen) -> tuple[str, ...]:
        """Return the stacks of the profile, each after the stacks whose outputs it needs."""
        return tuple(part for part in self.stacks.PARTS if part in profile_of(chosen).parts)

    def outputs(self, part: str) -> Outputs:
        """Return the outputs of a stack, or an empty dict if the stack does not exist."""
        try:
            return self.stacks.outputs(self.cloud, self.stage, part)
        except CloudError as error:
            if "there is no stack" not in str(error):
                raise
            return {}

    def given(self, part: str, outputs: Outputs, chosen: Chosen) -> dict[str, str]:
        """Return the parameters of a stack. Raises KeyError if a parameter is an output of a missing stack."""
        own = parameters.own_parameters(self.source, self.stage)
        profile, computed = profile_of(chosen), dict[str, str]()
        if part == "network":
            ec2, proxy = self.cloud.client("ec2"), parameters.through_proxy(profile, own)
            computed = {"S3PrefixListId": self.stacks.s3_prefix_list(ec2)}
            computed |= zones.chosen(ec2, self.outputs(part), proxy=proxy)
        elif part in PART_OF.values():
            computed = parameters.of_database(outputs, chosen)
        elif part == "storage":
            computed = parameters.of_storage(chosen, own)
        elif part == "operations":
            computed = parameters.of_operations(chosen)
        return {**profile.parameters_of(part), **computed, **own.get(part, {})}

    def deploy(self, chosen: Chosen, *, wide: bool = False) -> Iterator[Outputs]:
        """Create or update all stacks of the profile. After each stack, yield the outputs of all stacks so far. With
        `wide`, the network also serves the functions that are deployed now."""

        def given(part: str, outputs: Outputs) -> dict[str, str]:
            wanted = self.given(part, outputs, chosen)
            return replacement.network_for_both(self.outputs(part), wanted) if wide and part == "network" else wanted

        return ordered_stacks.deploy(self.stacks, self.cloud, self.stage, self.parts(chosen), given, self.report)

    def plan(self, chosen: Chosen) -> tuple[dict[str, list[str]], list[str], Outputs]:
        """Return the changes of each stack, the stacks that wait for outputs of others, and the present outputs."""
        changes, waiting, outputs = dict[str, list[str]](), list[str](), Outputs()
        for part in self.parts(chosen):
            try:
                known = self.given(part, outputs, chosen)
            except KeyError:  # the part needs an output of a stack that does not exist yet
                waiting.append(part)
                continue
            changes[part] = [str(c) for c in self.stacks.plan(self.cloud, self.stage, part, known)]
            outputs |= self.outputs(part)
        return changes, waiting, outputs

    def unused(self, chosen: Chosen) -> list[str]:
        """Return the stacks that exist but are not part of the profile, in the order in which they can be deleted."""
        parts = profile_of(chosen).parts
        return [part for part in reversed(self.stacks.PARTS) if part not in parts and self.outputs(part)]

    def delete_unused(self, chosen: Chosen, outputs: Outputs, *, confirmed: bool) -> None:
        """Delete the stacks that the profile does not use. RDS keeps a final snapshot of a deleted database.

        Without confirmation, these stacks stay, because the data of a former database may still be needed. Each such
        stack is then reported.
        """
        unused = self.unused(chosen)
        if not confirmed:
            for part in unused:
                self.report(self._unused_note(part))
            return
        for part in unused:
            ordered_stacks.delete(self.stacks, self.cloud, self.stage, part, self.report)
        if unused and "network" in profile_of(chosen).parts:  # the new functions may need fewer endpoints
            self.report("stack network")
            self.stacks.apply(self.cloud, self.stage, "network", self.given("network", outputs, chosen))

    # --- the database that a change of the profile replaces

    def replaced(self, target: Target, chosen: Chosen) -> Kind | None:
        """Return the kind of the deployed functions' database if the deployment replaces this database, else None.

        Raises CloudError if the stage cannot be deployed.
        """
        profile = profile_of(chosen)
        stage_names.check_database(self.stage, profile)
        regions.check_roles(target)
        databases = {part: self.outputs(part) for part in PART_OF.values()}
        wanted = databases.get(PART_OF.get(profile.database, ""), {})
        if wanted and wanted.get("SnapshotIdentifier", "") != chosen.text("DATABASE_SNAPSHOT"):
            raise CloudError(replacement.wrong_snapshot(self.stage, wanted.get("SnapshotIdentifier", "")))
        old = replacement.deployed_kind(target, databases)
        return old if profiles.replaces_database(old, profile) else None

    def warnings(self, chosen: Chosen, replaced: Kind | None) -> Iterator[str]:
        """Yield the warnings of a plan about a change of the profile."""
        profile = profile_of(chosen)
        if replaced:
            yield from replacement.warnings(self.stage, replaced, profile)
        yield from profiles.changes(self.outputs(PART_OF["aurora"]), profile)
        yield from map(self._unused_note, self.unused(chosen))

    def _unused_note(self, part: str) -> str:
        kept = ", and keeps a final snapshot of its database" if part in PART_OF.values() else ""
        return (
            f"stack {part} is not used by this profile: make deploy with YES={self.stage} deletes it at the end{kept}"
        )

    def costs(self, chosen: Chosen, region: str) -> Iterator[str]:
        profile, own = profile_of(chosen), parameters.own_parameters(self.source, self.stage)
        yield f"profile {profile.name}"
        yield from costs.lines(costs.monthly(profile, own, self.stacks.TEMPLATES), region)
