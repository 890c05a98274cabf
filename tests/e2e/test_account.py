"""Tests a deployment as on AWS, from the stacks to the smoke test, but on the embedded cloud.

The tests interrupt and resume the deployment, plan it, and repeat it from another machine. At the end they destroy the
stage. The stage uses an existing database, because the embedded cloud has no Aurora.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.aws import stacks
from infra.aws.cloud import Cloud
from infra.deploy import memory, project, record, removal
from infra.deploy.account import Account
from infra.deploy.ordered_stacks import Outputs
from infra.deploy.target import APP
from infra.errors import CloudError
from infra.local.cloud import Embedded, Services
from infra.local.commands import Commands
from infra.local.state import State
from infra.locks import locked
from infra.settings.chosen import MASKED, choose
from infra.venv import ROOT
from tests.aws_recorder import Call, Recorder, recording
from tests.deployer_policies import DEPLOY, PLAN, allowed, permissions, statements

STAGE = "prod"
_MACRO = "for the function that rotates passwords, which a macro of AWS adds to the stack of the database"
_INSTANCE = "for a database without Aurora"
# Permissions of the roles that these tests do not need. Each entry gives the reason.
UNRECORDED = {
    "cloudformation:CreateStack": _MACRO,
    "cloudformation:TagResource": _MACRO,
    "cloudformation:UpdateStack": _MACRO,
    "cloudformation:DescribeEvents": "needed only after a failure",
    "cloudformation:DescribeStackEvents": "needed only after a failure",
    "cloudformation:ContinueUpdateRollback": "sent only after a failure (tests/unit/infra/test_deployer_requests.py)",
    "ec2:DescribePrefixLists": "for the network, which the embedded cloud lacks",
    "rds:CreateDBParameterGroup": _INSTANCE,
    "rds:DeleteDBParameterGroup": _INSTANCE,
    "rds:ModifyDBParameterGroup": _INSTANCE,
    "rds:ResetDBParameterGroup": _INSTANCE,
    "secretsmanager:RestoreSecret": "sent only if a person has deleted a secret",
    "route53:AssociateVPCWithHostedZone": "for endpoints with private names",
}
# Requests that only the tests send.
OF_TESTS = ("events:ListRules", "iam:ListRoles", "lambda:ListFunctions", "s3:ListBucketVersions")
_FOLDER = ROOT / ".local-account"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 1800  # seconds to wait until another run in the same checkout ends


# The CloudFormation of the embedded cloud does not know the type of the saved queries.
PARTS = tuple(part for part in stacks.PARTS if part != "queries")


def plain(folder: Path) -> SimpleNamespace:
    """Return the stacks that the embedded cloud supports. The policies that require TLS are left out, because the
    embedded cloud has no TLS."""
    for template in stacks.TEMPLATES.glob("*.yaml"):
        open_to_all = re.sub(r"^  \w+OnlyTls:\n(?:    .*\n|\n)+", "", template.read_text(), flags=re.MULTILINE)
        (folder / template.name).write_text(open_to_all)

    def apply(cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str]) -> Outputs:
        return stacks.apply(cloud, stage, part, parameters, folder)

    def plan(cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str]) -> Any:
        return stacks.plan(cloud, stage, part, parameters, folder)

    return SimpleNamespace(**{**vars(stacks), "PARTS": PARTS, "apply": apply, "plan": plan})


class Interrupted(Exception):
    pass


class Interruption:
    """Interrupts a deployment: the first `steps` steps may begin, and the next step raises Interrupted."""

    def __init__(self, steps: int) -> None:
        self._remaining = steps
        self.seen: list[str] = []

    def __call__(self, message: str) -> None:
        if not self._remaining:
            raise Interrupted
        self._remaining -= 1
        self.seen.append(message)


@pytest.fixture(autouse=True)
def empty() -> None:
    """Override the fixture of conftest.py that empties the tables of the session's stage. These tests have their own
    cloud."""


@pytest.fixture(scope="module")
def services(stage: str | None) -> Iterator[Services]:
    """Start an embedded cloud, but deploy no stage on it."""
    if stage is not None:
        pytest.skip("the tests did not start these services, so they deploy no other stage on them")
    state = State(_FOLDER)
    with locked(ROOT / ".local-account.lock", _WAIT, "another run of these tests does not end"):
        Commands("local", ROOT, state, print).clean()
        with state.turn():
            embedded = Embedded(state)
            try:
                yield embedded.up(print, choose("local", {}, {}))
            finally:
                embedded.clean(print)
                state.delete()


@pytest.fixture(scope="module")
def recorder(services: Services) -> Iterator[tuple[str, Recorder]]:
    with recording(services.aws["AWS_ENDPOINT_URL"]) as recorded:
        yield recorded


@pytest.fixture(scope="module")
def account(
    services: Services, recorder: tuple[str, Recorder], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    aws = {**services.aws, "AWS_ENDPOINT_URL": recorder[0]}
    env = {**aws, "DATABASE_URL": services.database_url, "DATABASE_TLS": "disable"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.items():
            patch.setenv(name, value)
        patch.delenv("HIREFLOW_AUTH", raising=False)
        without_tls: Any = plain(tmp_path_factory.mktemp("templates"))
        yield Account(STAGE, ROOT, State(folder / "state"), without_tls, print, env)


def commands(account: Account) -> Commands:
    return Commands(STAGE, ROOT, account.state, print)


def functions(account: Account) -> dict[str, Any]:
    deployed_functions = commands(account).deployed().client("lambda").list_functions()["Functions"]
    ours = re.compile(rf"{APP}-{STAGE}(-[a-z]+)?")
    return {one["FunctionName"]: one for one in deployed_functions if ours.fullmatch(one["FunctionName"])}


def releases(account: Account) -> set[str]:
    return {one["Environment"]["Variables"][project.RELEASE] for one in functions(account).values()}


def test_a_deployment_resumes_after_an_interruption_at_any_step(account: Account) -> None:
    """Each attempt gets one step further than the attempt before it. The longest step, in which Chalice deploys the
    functions, runs only once."""
    steps, done = 1, False
    while not done:
        interruption = Interruption(steps)
        try:
            replace(account, report=interruption).deploy()
            done = True
        except Interrupted:
            assert len(interruption.seen) == steps
            steps += 1
    assert interruption.seen[1:3] == ["stack storage", "stack operations"]
    assert interruption.seen[-1] == "smoke test"
    assert steps >= 12
    target = commands(account).deployed()
    assert len(removal.apis(target)) == 1
    assert len(functions(account)) == 10
    assert len(releases(account)) == 1
    versions = target.client("s3").list_object_versions(Bucket=target.backup, Prefix=record.KEY)["Versions"]
    assert len(versions) == 1


def test_a_plan_after_a_deployment_shows_no_changes(account: Account, recorder: tuple[str, Recorder]) -> None:
    made = len(recorder[1].calls)
    lines = list(account.plan().lines())
    assert denied(PLAN, recorder[1].calls[made:]) == set()
    assert "stack storage: no change" in lines
    assert "stack operations: no change" in lines
    assert "functions to be updated: none" in lines
    assert any(re.fullmatch("release [0-9a-f]{16}: this release is deployed", line) for line in lines)


def test_a_plan_names_the_differences_and_changes_nothing(account: Account) -> None:
    before = releases(account)
    lines = list(replace(account, env={**account.env, "LOG_LEVEL": "DEBUG"}).plan().lines())
    assert f"  {APP}-{STAGE}-backup: LOG_LEVEL changed" in lines
    assert any(line.startswith("functions to be updated: hireflow-prod, ") for line in lines)
    assert releases(account) == before


def test_another_machine_deploys_to_the_same_api(account: Account, tmp_path: Path) -> None:
    """The deployment from the other machine also changes a setting. Otherwise Chalice would not deploy the functions
    again."""
    url, before = commands(account).read_env()["API_URL"], releases(account)
    other = replace(account, state=State(tmp_path), env={**account.env, "LOG_LEVEL": "WARNING", "SMOKE": "write"})
    assert other.deploy() == url
    assert len(releases(account)) == 1
    assert releases(account) != before
    assert len(removal.apis(commands(account).deployed())) == 1


def test_while_one_machine_deploys_another_one_is_refused(account: Account, tmp_path: Path) -> None:
    other = replace(account, state=State(tmp_path), env={**account.env, "YES": STAGE})
    locked_by_us = r"hireflow-prod is locked: arn:aws:iam::\d+:\S+ \(.+@.+\) has been running make deploy for"
    refused: list[str] = []

    def meanwhile(_: str) -> None:
        if not refused:
            for command in (other.deploy, other.destroy):
                with pytest.raises(CloudError, match=locked_by_us) as raised:
                    command()
                refused.append(str(raised.value))
            assert any(re.match(f"note: {locked_by_us}", line) for line in other.plan().lines())

    replace(account, report=meanwhile).deploy()
    assert len(refused) == 2
    assert not any(line.startswith("note: ") for line in other.plan().lines())
    assert other.unlock() == "nobody held the lock"


def test_any_machine_finds_the_settings_of_the_last_deployment(account: Account, tmp_path: Path) -> None:
    """The environment of this machine has no settings. The command still finds the address of the existing database,
    whose password is only in Secrets Manager."""
    aws = {name: value for name, value in account.env.items() if name.startswith("AWS_")}
    plain = replace(account, state=State(tmp_path), env=aws)
    kept = {"LOG_LEVEL": "WARNING", "DATABASE_TLS": "disable", "DATABASE_URL": account.env["DATABASE_URL"]}
    assert plain.settings().to_keep() == kept
    assert "functions to be updated: none" in list(plain.plan().lines())
    target = commands(account).deployed()
    document = target.client("s3").get_object(Bucket=target.backup, Key=memory.KEY)["Body"].read().decode()
    assert "postgresql" not in document
    assert plain.kept_settings().values["DATABASE_URL"].shown == MASKED
    assert replace(plain, reset=("LOG_LEVEL",)).settings().text("LOG_LEVEL") == "INFO"
    # The previous release kept no settings. So the command reads them from the deployed functions.
    target.client("s3").delete_object(Bucket=target.backup, Key=memory.KEY)
    assert plain.settings().to_keep() == kept
    assert plain.status()["API"] == commands(account).read_env()["API_URL"]


def test_a_wrong_setting_is_refused_before_any_request_to_aws(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CloudError, match="nothing was changed: BACKUP_RETENTION_DAYS=0 is not"):
        replace(account, env={**account.env, "BACKUP_RETENTION_DAYS": "0"}).deploy()


def test_the_contents_of_a_ca_file_are_kept(account: Account, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("certificates")
    target = replace(commands(account).deployed(), ca=ca)
    chosen = replace(account, env={**account.env, "DATABASE_CA": str(ca)}).settings()
    memory.keep(target, chosen)
    other = replace(account, state=State(tmp_path / "elsewhere"))
    assert Path(other.settings().read("DATABASE_CA")).read_text() == "certificates"
    memory.keep(replace(target, ca=None), replace(account, reset=("DATABASE_CA",)).settings())
    assert not other.settings().given("DATABASE_CA")


def test_a_deployment_deletes_an_api_that_is_not_recorded(account: Account) -> None:
    target = commands(account).deployed()
    lost = removal.apis(target)
    record.forget(target)
    account.deploy()
    assert len(removal.apis(target)) == 1
    assert removal.apis(target) != lost


def test_the_commands_for_operators_work_on_this_stage(account: Account) -> None:
    stage = commands(account)
    created = stage.invoke("tokens", {"action": "create", "role": "reader", "note": "me"})
    notes = {token["note"]: token["revoked_at"] for token in stage.invoke("tokens", {"action": "list"})}
    stage.invoke("tokens", {"action": "revoke", "token": created["id"]})
    assert notes["me"] is None
    assert notes["smoke test"]
    for only_local in (stage.up, stage.down, stage.clean):
        with pytest.raises(CloudError, match=r"is on AWS: .*make \w+ STAGE=prod"):
            only_local()


def test_a_stage_is_not_destroyed_without_the_right_confirmation(account: Account) -> None:
    for confirmation in ({}, {"YES": "1"}, {"YES": "local"}):
        with pytest.raises(CloudError, match="YES=prod"):
            replace(account, env={**account.env, **confirmation}).destroy()
    assert len(functions(account)) == 10


def test_only_data_survives_the_destruction_of_a_stage(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    target = commands(account).deployed()
    target.client("s3").put_object(Bucket=target.backup, Key="backups/kept", Body=b"data")
    with_yes = replace(account, env={**account.env, "YES": STAGE})
    interruption, steps, done = Interruption(0), 0, False
    while not done:  # the test interrupts the destruction, too, once at every step
        interruption = Interruption(steps)
        try:
            replace(with_yes, report=interruption).destroy()
            done = True
        except Interrupted:
            steps += 1
    assert any("kept: the buckets hireflow-prod-landing-" in line for line in interruption.seen)
    assert functions_of(target) == []
    assert removal.apis(target) == []
    roles = [role["RoleName"] for role in target.client("iam").list_roles()["Roles"]]
    assert [name for name in roles if name.startswith(f"{APP}-{STAGE}-")] == []
    rules = [rule["Name"] for rule in target.client("events").list_rules()["Rules"]]
    assert [name for name in rules if name.startswith(f"{APP}-{STAGE}-")] == []
    for part in PARTS:
        with pytest.raises(CloudError, match="there is no stack"):
            stacks.outputs(Cloud(target.client), STAGE, part)
    s3 = target.client("s3")
    assert s3.get_object(Bucket=target.backup, Key="backups/kept")["Body"].read() == b"data"
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=target.landing)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=target.backup, Key=record.KEY)
    lines = list(account.plan().lines())
    assert {f"  Import {name} (AWS::S3::Bucket)" for name in ("Landing", "Errored", "Backup")} <= set(lines)
    with_yes.destroy()  # the stage no longer exists, so another `destroy` does nothing
    assert "deleting stack" not in capsys.readouterr().out


def test_the_role_of_a_deployment_allows_every_request_and_needs_every_permission(
    recorder: tuple[str, Recorder],
) -> None:
    """The recorder has the requests of all tests above, from the first deployment to the destruction. The role has only
    permissions that these requests or CloudFormation need."""
    calls = [call for call in recorder[1].calls if call.action not in OF_TESTS and not call.resource.endswith("/kept")]
    assert denied(DEPLOY, calls) == set()
    needed = {call.action for call in calls} | {permission for _, permission in permissions()}
    # A pattern such as rds:Describe* allows only reading. tests/unit/infra/test_deployer_policies.py checks this.
    ours = {action for each in statements(DEPLOY) for action in each.actions if "*" not in action}
    assert ours - needed - UNRECORDED.keys() == set()


def denied(role: str, calls: list[Call]) -> set[Call]:
    return {call for call in calls if not allowed(role, call.action, call.resource)}


def functions_of(target: Any) -> list[str]:
    names = [one["FunctionName"] for one in target.client("lambda").list_functions()["Functions"]]
    return [name for name in names if json.dumps(name).startswith(f'"{APP}-{STAGE}')]
