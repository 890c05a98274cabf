"""Does the work of `make deploy`, `plan` and `destroy` for a stage in an AWS account, from stacks to a smoke test."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.aws.cloud import Cloud, without_credentials
from infra.aws.profiles import PART_OF, Kind
from infra.deploy import (
    deployer_lock,
    driver,
    gateway_responses,
    kept_buckets,
    memory,
    migration,
    ordered_stacks,
    package,
    parameters,
    plan,
    project,
    record,
    removal,
    replacement,
    tables,
    throttle,
    tracing,
)
from infra.deploy.concurrency import with_reservations
from infra.deploy.deployer_lock import Deployer, DeployerLock
from infra.deploy.driver import Report, Steps
from infra.deploy.ordered_stacks import Outputs, Stacks
from infra.deploy.parameters import profile_of
from infra.deploy.smoke import smoke
from infra.deploy.stage_stacks import StageStacks
from infra.deploy.target import Target, bucket_names
from infra.deploy.targets import Targets
from infra.errors import CloudError
from infra.local.state import State
from infra.settings.chosen import Chosen, check, choose, of_one_command


@dataclass(frozen=True)
class Account:
    """One stage in an account. `source` holds app.py, `state` is the stage's folder, and `env` is the environment of
    the command.

    Settings come from the environment, else from the last deployment, even if another machine made that deployment.
    Settings in `reset` lose their kept values. The setting PROFILE decides which stacks the stage has.
    """

    stage: str
    source: Path
    state: State
    stacks: Stacks
    report: Report
    env: Mapping[str, str]
    reset: Collection[str] = ()

    def deploy(self) -> str:
        """Create or update everything, and return the API's address. Continue a deployment that was interrupted."""
        tables.check()  # both checks come before any request to AWS
        check(self.stage, self.env, self.reset)
        with self.state.turn(), _aws_errors(), self._lock("deploy") as lock:
            chosen = self.settings()
            self.report(f"deploying to {self._account_id()}, {self._aws['AWS_DEFAULT_REGION']}")
            present = self._known(self._storage())
            replaced, point = self._stacks.replaced(present, chosen), ""
            if replaced:
                self._confirm(replaced, chosen)
                point = self._last_restore_point(present)  # before anything is changed
            outputs: Outputs = {}
            for outputs in self._stacks.deploy(chosen, wide=bool(replaced)):
                lock.take(outputs.get("BackupBucket"))  # a new stage has this bucket only after its first stack
            target, notes = self._reserving(outputs, chosen)
            for note in notes:
                self.report(note)
            if replaced:
                point = self._last_restore_point(present)  # once more: rows may have arrived since then
            driver.deploy(target, self.report, self._steps(chosen))
            self.state.write_env(self._env(target))
            self._stacks.delete_unused(chosen, outputs, confirmed=self.env.get("YES") == self.stage)
        for line in replacement.advice(self.stage, point) if replaced else ():
            self.report(line)
        return driver.api_url(target)

    def _confirm(self, replaced: Kind, chosen: Chosen) -> None:
        if self.env.get("YES") != self.stage:
            raise CloudError(replacement.refusal(self.stage, replaced, profile_of(chosen)))

    def _last_restore_point(self, target: Target) -> str:
        self.report("last restore point")
        return replacement.last_restore_point(target)

    def plan(self) -> plan.Plan:
        """Return what `deploy` would change. Planning changes only the stage's folder on this machine."""
        tables.check()
        check(self.stage, self.env, self.reset)
        with self.state.turn(), _aws_errors():
            chosen = self.settings()
            replaced = self._stacks.replaced(self._known(self._storage()), chosen)
            warnings = tuple(self._stacks.warnings(chosen, replaced))
            costs = tuple(self._stacks.costs(chosen, self._aws["AWS_DEFAULT_REGION"]))
            changes, waiting, outputs = self._stacks.plan(chosen)
            known = plan.Plan(
                changes,
                tuple(waiting),
                warnings=warnings,
                costs=costs,
                notes=deployer_lock.notes(self._client("s3"), outputs.get("BackupBucket"), self.stage),
            )
            try:
                target, notes = self._reserving(outputs, chosen)
            except KeyError:
                return known
            record.fetch(target)
            release = project.release(target), record.release(target)
            return replace(known, release=release, functions=plan.functions(target), notes=known.notes + notes)

    def destroy(self) -> None:
        """Delete everything except data. Raises CloudError unless YES in the environment names the stage."""
        if self.env.get("YES") != self.stage:
            raise CloudError(f"this deletes stage {self.stage}: add YES={self.stage} to confirm it")
        with self.state.turn(), _aws_errors(), self._lock("destroy"):
            chosen, outputs = self.settings(), self._storage()
            own = profile_of(chosen).database == "own" and not any(map(self._outputs, PART_OF.values()))
            for part in self.stacks.PARTS:
                outputs |= self._outputs(part)
            target = self._known(outputs)
            if outputs:
                record.fetch(target)
            removal.remove(target, self.report)
            if outputs:
                record.forget(target)
                memory.forget(target)
            ordered_stacks.destroy(self.stacks, self._cloud, self.stage, self.report)
            self.state.env_file.unlink(missing_ok=True)
        kept = [outputs[name] for name in kept_buckets.OUTPUTS.values() if name in outputs]
        self.report(f"kept: the buckets {', '.join(kept) or 'of the stage'}, with all their objects")
        if not own:
            self.report("kept: a final snapshot of the database, and the functions' logs until they expire")

    def unlock(self) -> str:
        """Delete the lock of a deployer that was killed. Return what was done.

        Raises CloudError unless YES in the environment names the stage.
        """
        with _aws_errors():
            deployer_lock.check_confirmed(self.stage, self.env)
            return deployer_lock.unlock(self._client("s3"), self._storage().get("BackupBucket"))

    def _lock(self, command: str) -> AbstractContextManager[DeployerLock]:
        ours = Deployer.here(self._caller()["Arn"], self.state, command)
        lock = DeployerLock(self._client("s3"), self.stage, ours)
        return deployer_lock.held(lock, self._storage().get("BackupBucket"))

    # --- settings

    def settings(self) -> Chosen:
        """Return the stage's settings. Raises CloudError, which lists everything that is wrong."""
        with _aws_errors():
            outputs = self._storage()
            replaced = bool(self.env.get("DATABASE_URL")) or bool({"DATABASE_URL", "ALL"} & set(self.reset))
            kept = memory.kept(self._known(outputs), url_is_needed=not replaced) if outputs else {}
            return choose(self.stage, self.env, kept, self.reset, f"kept by stage {self.stage}")

    def kept_settings(self) -> Chosen:
        """Return the kept settings of the stage, without those in the environment."""
        return replace(self, env=of_one_command(self.env)).settings()

    def status(self) -> dict[str, str]:
        """Return whether the stage is deployed, and the API's address if it is."""
        with _aws_errors():
            outputs = self._storage()
            target = self._known(outputs)
            if outputs:
                record.fetch(target)
            found = driver.api_url(target) if driver.has_api(target) else None
        known = "deployed" if found else f"not deployed: make deploy STAGE={self.stage}"
        return {"state": known, **({"API": found} if found else {})}

    # --- what is deployed

    def _steps(self, chosen: Chosen) -> Steps:
        write = chosen.text("SMOKE") == "write"
        return (
            ("secrets", driver.keep_secrets),
            ("settings", lambda target: memory.keep(target, chosen)),  # after the secrets, to which settings refer
            ("record of the last deployment", record.fetch),
            ("project", project.assemble),
            ("chalice deploy", _deploy_code),
            ("limit of requests", lambda target: throttle.limit(target, chosen.read("API_RATE_LIMIT"))),
            ("tracing", tracing.switch),
            ("uploads from pages", driver.admit_pages),
            ("migrations", _migrate),
            ("headers of API Gateway", gateway_responses.add_headers),
            ("retries", driver.configure_retries),
            ("log retention", driver.limit_logs),
            ("smoke test", lambda target: smoke(target, write=write)),
        )

    def target(self, outputs: Outputs, chosen: Chosen) -> Target:
        """Return the target of the deployment. Raises KeyError if outputs are missing."""
        return self._targets.wanted(outputs, chosen)

    def _reserving(self, outputs: Outputs, chosen: Chosen) -> tuple[Target, tuple[str, ...]]:
        """Return the target with reserved concurrency, and notes about the reservation. Raises KeyError if outputs are
        missing."""
        return with_reservations(self.target(outputs, chosen), int(parameters.connections(chosen)))

    def _known(self, outputs: Outputs) -> Target:
        return self._targets.known(outputs)

    def _env(self, target: Target) -> dict[str, str]:
        """Return the values of the env file, without secrets: users have their own credentials and tokens."""
        buckets = {name: target.functions[name] for name in bucket_names(self.stage)}
        return {**self._aws, **buckets, "API_URL": driver.api_url(target)}

    # --- the account

    @property
    def _work(self) -> Path:
        return self.state.build(self.stage)

    @property
    def _aws(self) -> dict[str, str]:
        region = boto3.session.Session().region_name
        if not region:
            raise CloudError("no region is set: set AWS_DEFAULT_REGION, or AWS_PROFILE to a profile with a region")
        endpoint = self.env.get("AWS_ENDPOINT_URL")
        return {"AWS_DEFAULT_REGION": region, **({"AWS_ENDPOINT_URL": endpoint.rstrip("/")} if endpoint else {})}

    def _client(self, service: str) -> Any:
        return Target(self.stage, self.source, self._work, {}, self._aws).client(service)

    @property
    def _cloud(self) -> Cloud:
        return Cloud(cache(self._client))

    def _account_id(self) -> str:
        return f"account {self._caller()['Account']}"

    def _caller(self) -> dict[str, str]:
        return dict(self._client("sts").get_caller_identity())

    def _outputs(self, part: str) -> Outputs:
        return self._stacks.outputs(part)

    def _storage(self) -> Outputs:
        """Return the outputs of the stack of the buckets, or of its buckets that it has left behind."""
        found = self._outputs("storage")
        return found or kept_buckets.outputs(self._client("s3"), self.stage, self._caller()["Account"])

    @property
    def _targets(self) -> Targets:
        return Targets(self.stage, self.source, self._work, self._aws)

    @property
    def _stacks(self) -> StageStacks:
        return StageStacks(self.stage, self.source, self.stacks, self._cloud, self.report)


def _deploy_code(target: Target) -> None:
    """Deploy the code, unless Chalice has deployed this release completely and the functions still run it."""
    if driver.runs_release(target) and record.release(target) == project.release(target):
        return
    package.build(target)
    driver.run_chalice(target)
    record.keep(target)


def _migrate(target: Target) -> list[str]:
    """Wait until the function `migrate` is active. Then run the migrations, and return their notes."""
    waiter = target.client("lambda").get_waiter("function_active_v2")
    waiter.wait(FunctionName=target.function("migrate"))
    return migration.when_ready(lambda: driver.migrate(target))


@contextmanager
def _aws_errors() -> Iterator[None]:
    """Raise errors of boto3 as CloudError."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CloudError(without_credentials(error) or str(error)) from error
