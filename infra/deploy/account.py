"""`make deploy`, `plan` and `destroy`: a stage in an account of AWS, from its stacks to a smoke test."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import driver, package, plan, project, record, removal
from infra.deploy.driver import Report, Steps
from infra.deploy.logins import Logins, authentication
from infra.deploy.smoke import smoke
from infra.deploy.target import APP, CA_FILE, PASSED_THROUGH, Target, Vpc, bucket_names, queue_names
from infra.errors import CloudError
from infra.local import provision
from infra.local.cloud import connections
from infra.local.state import ENV_KEYS, State
from infra.locks import attempts

_OWNER, _FUNCTIONS = "hireflow", "hireflow_app"  # logins, as infra/aws/templates/database.yaml makes them
_BUCKETS = {"LANDING_BUCKET": "LandingBucket", "ERRORED_BUCKET": "ErroredBucket", "BACKUP_BUCKET": "BackupBucket"}
_SETTLED = 120  # seconds until a new role may do what it may, and a new database answers
_PASSING = ("DatabaseUnavailable", "InterfaceError", "OperationalError", "TimeoutError", "authentication failed")
Outputs = dict[str, str]


class Stacks(Protocol):
    """What infra.aws.stacks does."""

    @property
    def PARTS(self) -> tuple[str, ...]: ...  # noqa: N802 - a constant there
    def apply(self, client: Any, stage: str, part: str, parameters: Mapping[str, str]) -> Outputs: ...
    def plan(self, client: Any, stage: str, part: str, parameters: Mapping[str, str]) -> Any: ...
    def outputs(self, client: Any, stage: str, part: str) -> Outputs: ...
    def delete(self, client: Any, stage: str, part: str) -> None: ...
    def s3_prefix_list(self, ec2: Any) -> str: ...


@dataclass(frozen=True)
class Account:
    """One stage: `source` holds app.py, `state` is the folder of ours, `env` the environment of the command.

    DATABASE_URL in the environment is a Postgres of one's own, in place of Aurora in a network of the stage.
    """

    stage: str
    source: Path
    state: State
    stacks: Stacks
    report: Report
    env: Mapping[str, str]

    def deploy(self) -> str:
        """Make or update everything; returns the API's address. What an interrupted one has done is not done again."""
        authentication(self.stage)
        with self.state.turn(), _told():
            self.report(f"deploying to {self._account_id()}, {self._aws['AWS_DEFAULT_REGION']}")
            outputs: Outputs = {}
            for part in self._parts:
                self.report(f"stack {part}")
                outputs |= self.stacks.apply(
                    self._client("cloudformation"), self.stage, part, self._given(part, outputs)
                )
            target = self.target(outputs)
            driver.deploy(target, self.report, self._steps)
            self.state.write_env(self._env(target))
        return driver.api_url(target)

    def plan(self) -> plan.Plan:
        """What `deploy` would change. Nothing is changed but our own folder."""
        with self.state.turn(), _told():
            outputs, changes, waiting = Outputs(), dict[str, list[str]](), list[str]()
            for part in self._parts:
                try:
                    known = self._given(part, outputs)
                except KeyError:  # an output of a stack that is not there yet
                    waiting.append(part)
                    continue
                changes[part] = [
                    str(c) for c in self.stacks.plan(self._client("cloudformation"), self.stage, part, known)
                ]
                outputs |= self._outputs(part)
            try:
                target = self.target(outputs)
            except KeyError:
                return plan.Plan(changes, tuple(waiting))
            record.fetch(target)
            release = project.release(target), record.release(target)
            return plan.Plan(changes, tuple(waiting), release, plan.functions(target))

    def destroy(self) -> None:
        """Delete all but data. Raises CloudError unless YES in the environment names the stage."""
        if self.env.get("YES") != self.stage:
            raise CloudError(f"this deletes stage {self.stage}; say YES={self.stage} if that is meant")
        with self.state.turn(), _told():
            outputs: Outputs = {}
            for part in self.stacks.PARTS:
                outputs |= self._outputs(part)
            target = self._known(outputs)
            if outputs:
                record.fetch(target)
            removal.remove(target, self.report)
            if outputs:
                record.forget(target)
            for part in reversed(self.stacks.PARTS):
                if not self._outputs(part):
                    continue
                self.report(f"deleting stack {part}")
                client = self._client("cloudformation")
                if part == "database":  # which refuses otherwise; its snapshot is made all the same
                    unprotected = {**self._given(part, outputs), "DeletionProtection": "false"}
                    self.stacks.apply(client, self.stage, part, unprotected)
                self.stacks.delete(client, self.stage, part)
            self.state.env_file.unlink(missing_ok=True)
        kept = [outputs[name] for name in _BUCKETS.values() if name in outputs]
        self.report(f"kept: the buckets {', '.join(kept) or 'of the stage'}, with all that is in them")
        if "DATABASE_URL" not in self.env:
            self.report("kept: a final snapshot of the database, and the functions' logs until they expire")

    # --- what is deployed

    @property
    def _steps(self) -> Steps:
        write = self.env.get("SMOKE") == "write"
        return (
            ("secrets", driver.keep_secrets),
            ("record of the last deployment", record.fetch),
            ("project", project.assemble),
            ("chalice deploy", _deploy_code),
            ("uploads from pages", driver.admit_pages),
            ("migrations", _migrate),
            ("retries", driver.configure_retries),
            ("log retention", driver.limit_logs),
            ("smoke test", lambda target: smoke(target, write=write)),
        )

    @property
    def _own_database(self) -> bool:
        return bool(self.env.get("DATABASE_URL"))

    @property
    def _parts(self) -> tuple[str, ...]:
        ours = ("network", "database") if self._own_database else ()
        return tuple(part for part in self.stacks.PARTS if part not in ours)

    def _given(self, part: str, outputs: Outputs) -> dict[str, str]:
        """The parameters of a stack. Raises KeyError where an output of another one is not known yet."""
        path = self.source / "infra" / "aws" / "parameters" / f"{self.stage}.json"
        chosen = json.loads(path.read_text()).get(part, {}) if path.exists() else {}
        made = {}
        if part == "network":
            made = {"S3PrefixListId": self.stacks.s3_prefix_list(self._client("ec2"))}
        elif part == "database":
            made = {name: outputs[name] for name in ("VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId")}
        elif part == "operations":
            made = {"DatabaseConnections": str(connections())}
        return {**made, **chosen}

    def target(self, outputs: Outputs) -> Target:
        """The stage on its stacks. Raises KeyError where outputs are missing."""
        ca = Path(self.env["DATABASE_CA"]).absolute() if self.env.get("DATABASE_CA") else None
        vpc = None if self._own_database else _vpc(outputs)
        login = self._logins(outputs)
        functions = {
            **{name: outputs[output] for name, output in _BUCKETS.items()},
            "DEAD_LETTER_QUEUE": outputs["DeadLetterQueueName"],
            **login.functions,
            **({"DATABASE_CA": CA_FILE} if ca else {}),
            **({"S3_PUBLIC_URL": url} if (url := self._aws.get("AWS_ENDPOINT_URL")) else {}),
            "DATABASE_CONNECTIONS": str(connections()),
            "HIREFLOW_AUTH": "on",
            **{name: self.env[name] for name in (*PASSED_THROUGH, "DATABASE_TLS") if self.env.get(name)},
        }
        return Target(
            self.stage, self.source, self._work, functions, self._aws, login.migration, login.secrets, vpc, ca
        )

    def _logins(self, outputs: Outputs) -> Logins:
        if self._own_database:
            url = self.env["DATABASE_URL"]
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
        """The stage as far as it is there, to take it away."""
        buckets = {name: outputs.get(output, f"{APP}-{self.stage}-none") for name, output in _BUCKETS.items()}
        return Target(self.stage, self.source, self._work, {**buckets, **queue_names(self.stage)}, self._aws)

    def _env(self, target: Target) -> dict[str, str]:
        """Neither credentials nor a token: those of the account are one's own, a token is made by `make token`."""
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
            raise CloudError("no region is set: AWS_DEFAULT_REGION, or a profile that has one")
        endpoint = self.env.get("AWS_ENDPOINT_URL")
        return {"AWS_DEFAULT_REGION": region, **({"AWS_ENDPOINT_URL": endpoint.rstrip("/")} if endpoint else {})}

    def _client(self, service: str) -> Any:
        return Target(self.stage, self.source, self._work, {}, self._aws).client(service)

    def _account_id(self) -> str:
        return f"account {self._client('sts').get_caller_identity()['Account']}"

    def _outputs(self, part: str) -> Outputs:
        try:
            return self.stacks.outputs(self._client("cloudformation"), self.stage, part)
        except CloudError as error:
            if "there is no stack" not in str(error):
                raise
            return {}


def _deploy_code(target: Target) -> None:
    """Unless Chalice has come to the end of this release before, and nobody has changed it since."""
    removal.remove_strays(target)
    if driver.runs_release(target) and record.release(target) == project.release(target):
        return
    package.build(target)
    driver.run_chalice(target)
    record.keep(target)


def _migrate(target: Target) -> None:
    """With patience: the function may not be in its network yet, its role not be known, the database still start."""
    waiter = target.client("lambda").get_waiter("function_active_v2")
    waiter.wait(FunctionName=target.function("migrate"))
    for again in attempts(_SETTLED):
        try:
            driver.migrate(target)
            return
        except CloudError as error:
            if not any(word in str(error) for word in _PASSING):
                raise
            again()


def _vpc(outputs: Outputs) -> Vpc:
    subnets = tuple(outputs["PrivateSubnetIds"].split(","))
    return Vpc(subnets, (outputs["FunctionsSecurityGroupId"],), outputs["ProxyResourceId"], _OWNER, _FUNCTIONS)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CloudError(str(error)) from error
