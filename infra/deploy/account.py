"""Does the work of `make deploy`, `plan` and `destroy` for a stage in an AWS account, from stacks to a smoke test."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import CommandError
from cli.functions import FunctionFailed
from infra.deploy import (
    deployer_lock,
    driver,
    memory,
    package,
    plan,
    project,
    record,
    removal,
    tables,
    throttle,
    tracing,
)
from infra.deploy.concurrency import with_reservations
from infra.deploy.deployer_lock import Deployer, DeployerLock
from infra.deploy.driver import Report, Steps
from infra.deploy.logins import Logins
from infra.deploy.smoke import smoke
from infra.deploy.target import APP, CA_FILE, Target, Vpc, bucket_names, queue_names
from infra.errors import CloudError
from infra.local import provision
from infra.local.state import ENV_KEYS, State
from infra.locks import attempts
from infra.settings.chosen import Chosen, check, choose, of_one_command

_OWNER, _FUNCTIONS = "hireflow", "hireflow_app"  # Postgres roles, with the names in infra/aws/templates/database.yaml
_BUCKETS = {"LANDING_BUCKET": "LandingBucket", "ERRORED_BUCKET": "ErroredBucket", "BACKUP_BUCKET": "BackupBucket"}
_SETTLED = 120  # seconds until a new IAM role is in effect and a new database accepts connections
_TRANSIENT = ("DatabaseUnavailable", "InterfaceError", "OperationalError", "TimeoutError", "authentication failed")
Outputs = dict[str, str]


class Stacks(Protocol):
    """Lists the functions of infra.aws.stacks that this module uses."""

    @property
    def PARTS(self) -> tuple[str, ...]: ...  # noqa: N802 - a constant there
    def apply(self, client: Any, stage: str, part: str, parameters: Mapping[str, str]) -> Outputs: ...
    def plan(self, client: Any, stage: str, part: str, parameters: Mapping[str, str]) -> Any: ...
    def outputs(self, client: Any, stage: str, part: str) -> Outputs: ...
    def delete(self, client: Any, stage: str, part: str) -> None: ...
    def s3_prefix_list(self, ec2: Any) -> str: ...


@dataclass(frozen=True)
class Account:
    """One stage in an account. `source` holds app.py, `state` is the stage's folder, `env` the command's environment.

    Settings come from the environment, else from the last deployment, even if another machine made that deployment.
    Settings in `reset` lose their kept values. DATABASE_URL names the user's own Postgres, which replaces Aurora and
    the stage's network.
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
            outputs: Outputs = {}
            for part in self._parts(chosen):
                self.report(f"stack {part}")
                outputs |= self.stacks.apply(
                    self._client("cloudformation"), self.stage, part, self._given(part, outputs, chosen)
                )
                lock.take(outputs.get("BackupBucket"))
            target, notes = self._reserving(outputs, chosen)
            for note in notes:
                self.report(note)
            driver.deploy(target, self.report, self._steps(chosen))
            self.state.write_env(self._env(target))
        return driver.api_url(target)

    def plan(self) -> plan.Plan:
        """Return what `deploy` would change. Planning changes only the stage's folder on this machine."""
        tables.check()
        with self.state.turn(), _aws_errors():
            chosen = self.settings()
            outputs, changes, waiting = Outputs(), dict[str, list[str]](), list[str]()
            for part in self._parts(chosen):
                try:
                    known = self._given(part, outputs, chosen)
                except KeyError:  # the part needs an output of a stack that does not exist yet
                    waiting.append(part)
                    continue
                changes[part] = [
                    str(c) for c in self.stacks.plan(self._client("cloudformation"), self.stage, part, known)
                ]
                outputs |= self._outputs(part)
            notes = deployer_lock.notes(self._client("s3"), outputs.get("BackupBucket"), self.stage)
            try:
                target, more = self._reserving(outputs, chosen)
            except KeyError:
                return plan.Plan(changes, tuple(waiting), notes=notes)
            record.fetch(target)
            release = project.release(target), record.release(target)
            return plan.Plan(changes, tuple(waiting), release, plan.functions(target), notes + more)

    def destroy(self) -> None:
        """Delete everything except data. Raises CloudError unless YES in the environment names the stage."""
        if self.env.get("YES") != self.stage:
            raise CloudError(f"this deletes stage {self.stage}: add YES={self.stage} to confirm it")
        with self.state.turn(), _aws_errors(), self._lock("destroy"):
            chosen, outputs = self.settings(), Outputs()
            for part in self.stacks.PARTS:
                outputs |= self._outputs(part)
            target = self._known(outputs)
            if outputs:
                record.fetch(target)
            removal.remove(target, self.report)
            if outputs:
                record.forget(target)
                memory.forget(target)
            for part in reversed(self.stacks.PARTS):
                if not self._outputs(part):
                    continue
                self.report(f"deleting stack {part}")
                client = self._client("cloudformation")
                if part == "database":  # protection prevents a deletion; RDS makes a final snapshot
                    unprotected = {**self._given(part, outputs, chosen), "DeletionProtection": "false"}
                    self.stacks.apply(client, self.stage, part, unprotected)
                self.stacks.delete(client, self.stage, part)
            self.state.env_file.unlink(missing_ok=True)
        kept = [outputs[name] for name in _BUCKETS.values() if name in outputs]
        self.report(f"kept: the buckets {', '.join(kept) or 'of the stage'}, with all their objects")
        if not chosen.given("DATABASE_URL"):
            self.report("kept: a final snapshot of the database, and the functions' logs until they expire")

    def unlock(self) -> str:
        """Delete the lock of a deployer that was killed. Return what was done.

        Raises CloudError unless YES in the environment names the stage.
        """
        with _aws_errors():
            deployer_lock.check_confirmed(self.stage, self.env)
            return deployer_lock.unlock(self._client("s3"), self._outputs("storage").get("BackupBucket"))

    def _lock(self, command: str) -> AbstractContextManager[DeployerLock]:
        ours = Deployer.here(self._caller()["Arn"], self.state, command)
        lock = DeployerLock(self._client("s3"), self.stage, ours)
        return deployer_lock.held(lock, self._outputs("storage").get("BackupBucket"))

    # --- settings

    def settings(self) -> Chosen:
        """Return the stage's settings. Raises CloudError, which lists everything that is wrong."""
        with _aws_errors():
            outputs = self._outputs("storage")
            replaced = bool(self.env.get("DATABASE_URL")) or bool({"DATABASE_URL", "ALL"} & set(self.reset))
            kept = memory.kept(self._known(outputs), url_is_needed=not replaced) if outputs else {}
            return choose(self.stage, self.env, kept, self.reset, f"kept by stage {self.stage}")

    def kept_settings(self) -> Chosen:
        """Return the kept settings of the stage, without those in the environment."""
        return replace(self, env=of_one_command(self.env)).settings()

    def status(self) -> dict[str, str]:
        """Return whether the stage is deployed, and the API's address if it is."""
        with _aws_errors():
            outputs = self._outputs("storage")
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
            ("retries", driver.configure_retries),
            ("log retention", driver.limit_logs),
            ("smoke test", lambda target: smoke(target, write=write)),
        )

    def _parts(self, chosen: Chosen) -> tuple[str, ...]:
        ours = ("network", "database") if chosen.given("DATABASE_URL") else ()
        return tuple(part for part in self.stacks.PARTS if part not in ours)

    def _given(self, part: str, outputs: Outputs, chosen: Chosen) -> dict[str, str]:
        """Return the parameters of a stack. Raises KeyError if a parameter is an output of a missing stack."""
        path = self.source / "infra" / "aws" / "parameters" / f"{self.stage}.json"
        own = json.loads(path.read_text()).get(part, {}) if path.exists() else {}
        computed = {}
        if part == "network":
            computed = {"S3PrefixListId": self.stacks.s3_prefix_list(self._client("ec2"))}
        elif part == "database":
            computed = {name: outputs[name] for name in ("VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId")}
        elif part == "operations":
            computed = {"DatabaseConnections": str(chosen.read("DATABASE_CONNECTIONS"))}
        return {**computed, **own}

    def target(self, outputs: Outputs, chosen: Chosen) -> Target:
        """Return the target of the deployment. Raises KeyError if outputs are missing."""
        ca = Path(chosen.read("DATABASE_CA")) if chosen.given("DATABASE_CA") else None
        vpc = None if chosen.given("DATABASE_URL") else _vpc(outputs)
        login = self._logins(outputs, chosen)
        functions = {
            **{name: outputs[output] for name, output in _BUCKETS.items()},
            "DEAD_LETTER_QUEUE": outputs["DeadLetterQueueName"],
            **login.functions,
            **chosen.of_functions(),
            **({"DATABASE_CA": CA_FILE} if ca else {}),
            **({"S3_PUBLIC_URL": url} if (url := self._aws.get("AWS_ENDPOINT_URL")) else {}),
        }
        return Target(
            self.stage, self.source, self._work, functions, self._aws, login.migration, login.secrets, vpc, ca
        )

    def _reserving(self, outputs: Outputs, chosen: Chosen) -> tuple[Target, tuple[str, ...]]:
        """Return the target with reserved concurrency, and notes. Raises KeyError if outputs are missing."""
        target = replace(self.target(outputs, chosen), tracing=chosen.read("TRACING"))
        return with_reservations(target, chosen.read("DATABASE_CONNECTIONS"))

    def _logins(self, outputs: Outputs, chosen: Chosen) -> Logins:
        if chosen.given("DATABASE_URL"):
            url = chosen.text("DATABASE_URL")
            return Logins.of(self.stage, url, provision.functions_url(url))
        place = f"{outputs['ProxyEndpoint']}:5432/{quote(outputs['DatabaseName'])}"
        tokens = {"DATABASE_IAM": "on"}
        return Logins(
            {"DATABASE_URL": f"postgresql+pg8000://{_FUNCTIONS}@{place}", **tokens},
            {
                "DATABASE_URL": f"postgresql+pg8000://{_OWNER}@{place}",
                "APP_DATABASE_SECRET": outputs["FunctionsSecretArn"],
                **tokens,
            },
            {},
        )

    def _known(self, outputs: Outputs) -> Target:
        """Return a target without database logins. Buckets that are missing in `outputs` get a dummy name."""
        buckets = {name: outputs.get(output, f"{APP}-{self.stage}-none") for name, output in _BUCKETS.items()}
        return Target(self.stage, self.source, self._work, {**buckets, **queue_names(self.stage)}, self._aws)

    def _env(self, target: Target) -> dict[str, str]:
        """Return the values of the env file, without secrets: users have their own credentials and tokens."""
        known = {**self._aws, **{name: target.functions[name] for name in bucket_names(self.stage)}}
        return {**dict.fromkeys(ENV_KEYS, ""), **known, "API_URL": driver.api_url(target)}

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

    def _account_id(self) -> str:
        return f"account {self._caller()['Account']}"

    def _caller(self) -> dict[str, str]:
        return dict(self._client("sts").get_caller_identity())

    def _outputs(self, part: str) -> Outputs:
        try:
            return self.stacks.outputs(self._client("cloudformation"), self.stage, part)
        except CloudError as error:
            if "there is no stack" not in str(error):
                raise
            return {}


def _deploy_code(target: Target) -> None:
    """Deploy the code, unless Chalice has deployed this release completely and the functions still run it."""
    if driver.runs_release(target) and record.release(target) == project.release(target):
        return
    package.build(target)
    driver.run_chalice(target)
    record.keep(target)


def _migrate(target: Target) -> None:
    """Run the migrations. Retry while the function's network, its role or the database are not ready."""
    waiter = target.client("lambda").get_waiter("function_active_v2")
    waiter.wait(FunctionName=target.function("migrate"))
    for again in attempts(_SETTLED):
        try:
            driver.migrate(target)
            return
        except CommandError as error:
            message = f"{error.kind if isinstance(error, FunctionFailed) else ''} {error}"
            if not any(word in message for word in _TRANSIENT):
                raise
            again()


def _vpc(outputs: Outputs) -> Vpc:
    subnets = tuple(outputs["PrivateSubnetIds"].split(","))
    return Vpc(subnets, (outputs["FunctionsSecurityGroupId"],), outputs["ProxyResourceId"], _OWNER, _FUNCTIONS)


@contextmanager
def _aws_errors() -> Iterator[None]:
    """Raise errors of boto3 as CloudError."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CloudError(str(error)) from error
