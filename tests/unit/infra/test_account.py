"""Tests how a stage in an AWS account gets the network and the database logins of its functions from the outputs of its
stacks."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from chalicelib.cloud.database_login import database_login
from chalicelib.core.settings import Settings
from cli.config import Config
from infra.aws import authorities, stacks
from infra.deploy import __main__ as command
from infra.deploy import driver, project
from infra.deploy.account import Account
from infra.deploy.target import Target, Vpc
from infra.errors import CloudError
from infra.local.commands import Commands
from infra.local.state import State
from infra.settings.chosen import choose
from infra.venv import ROOT

OUTPUTS = {
    "LandingBucket": "landing-1",
    "ErroredBucket": "errored-1",
    "BackupBucket": "backup-1",
    "DeadLetterQueueName": "dead-letters",
    "NoticesTopicArn": "arn:aws:sns:eu-central-1:1:hireflow-prod-notices",
    "PrivateSubnetIds": "subnet-1,subnet-2",
    "FunctionsSecurityGroupId": "sg-1",
    "ProxyEndpoint": "proxy.example",
    "ProxyResourceId": "prx-1",
    "DatabaseName": "hireflow",
    "FunctionsSecretArn": "arn:aws:secretsmanager:eu-central-1:1:secret:hireflow-prod-database-functions-AbCdEf",
}


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    known: Any = stacks
    return Account("prod", ROOT, State(tmp_path), known, print, {"LOG_LEVEL": "WARNING", "CONTINUE_FROM_BYTES": "1"})


def targeted(account: Account, outputs: dict[str, str] = OUTPUTS) -> Target:
    return account.target(outputs, choose(account.stage, account.env, {}))


def test_functions_run_in_the_vpc_and_log_in_with_tokens(account: Account) -> None:
    target = targeted(account)
    assert target.vpc == Vpc(("subnet-1", "subnet-2"), ("sg-1",), "prx-1", "hireflow", "hireflow_app")
    assert target.buckets == ("landing-1", "errored-1", "backup-1")
    assert target.functions["LOG_LEVEL"] == "WARNING"
    assert target.functions["CONTINUE_FROM_BYTES"] == "1"
    assert target.notices == OUTPUTS["NoticesTopicArn"]
    assert target.secrets == {}
    assert target.aws == {"AWS_DEFAULT_REGION": "eu-central-1"}
    settings = Settings.from_env(target.functions)
    assert (settings.database_tls, settings.database_ca, settings.authentication) == ("verify-full", "", True)
    asked: list[str] = []
    login = database_login(settings, lambda name: name, lambda *about: asked.append(str(about)) or "token")  # type: ignore[func-returns-value]
    assert login() == "postgresql+pg8000://hireflow_app:token@proxy.example:5432/hireflow"
    assert asked == ["('proxy.example', 5432, 'hireflow_app')"]


def test_a_stage_of_a_release_without_notices_can_be_planned(account: Account) -> None:
    before = {name: value for name, value in OUTPUTS.items() if name != "NoticesTopicArn"}
    assert targeted(account, before).functions["NOTICE_TOPIC"] == ""


def test_the_migration_logs_in_as_the_owner_and_reads_the_password_of_the_functions(account: Account) -> None:
    target = targeted(account)
    env = {**target.functions, **target.migration}
    settings = Settings.from_env(env)
    assert settings.database_iam
    assert settings.database_url == "postgresql+pg8000://hireflow@proxy.example:5432/hireflow"
    assert env["APP_DATABASE_SECRET"] == OUTPUTS["FunctionsSecretArn"]


def test_your_own_postgres_replaces_the_network_and_the_database(account: Account, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    url = "postgresql+pg8000://boss:s3cret@db.example:5432/hireflow"
    own = Account("prod", ROOT, account.state, account.stacks, print, {"DATABASE_URL": url, "DATABASE_CA": str(ca)})
    target = targeted(own, {name: OUTPUTS[name] for name in list(OUTPUTS)[:5]})
    assert target.vpc is None
    assert target.ca == ca
    assert target.functions["DATABASE_SECRET"] == "hireflow-prod-database"
    assert target.functions["DATABASE_CA"] == "database-ca.pem"
    assert target.secrets["hireflow-prod-database-owner"] == url
    assert "s3cret" not in repr(target) + str(dict(target.functions)) + str(dict(target.migration))


DIRECT = {
    **{name: value for name, value in OUTPUTS.items() if not name.startswith(("Proxy", "FunctionsSecretArn"))},
    "ClusterEndpoint": "cluster.example",
    "ClusterResourceId": "cluster-1",
    "InstanceEndpoint": "instance.example",
    "InstanceResourceId": "db-1",
    "OwnerSecretArn": "arn:aws:secretsmanager:eu-central-1:1:secret:rds!cluster-1",
}


@pytest.mark.parametrize(("profile", "host", "id_"), [("small", "cluster", "cluster-1"), ("tiny", "instance", "db-1")])
def test_without_a_proxy_functions_log_in_to_the_database_itself(
    account: Account, profile: str, host: str, id_: str
) -> None:
    target = targeted(replace(account, env={"PROFILE": profile}), DIRECT)
    assert target.vpc == Vpc(("subnet-1", "subnet-2"), ("sg-1",), id_, "", "hireflow_app")
    assert target.functions["DATABASE_URL"] == f"postgresql+pg8000://hireflow_app@{host}.example:5432/hireflow"
    settings = Settings.from_env({**target.functions, "DATABASE_CA": ""})
    assert (settings.database_iam, settings.database_tls) == (True, "verify-full")
    assert target.functions["DATABASE_CA"] == "database-ca.pem"
    assert target.ca is not None
    assert target.ca.read_text() == authorities.of_region("eu-central-1")
    owner = Settings.from_env({**target.functions, **target.migration, "DATABASE_CA": ""})
    assert not owner.database_iam  # the deployer passes the password of the owner
    assert owner.database_url == f"postgresql+pg8000://hireflow@{host}.example:5432/hireflow"
    assert owner.app_database_url == target.functions["DATABASE_URL"]
    # The network has no endpoint of Secrets Manager.
    assert settings.database_secret == owner.database_secret == owner.app_database_secret == ""
    assert target.owner_secret == DIRECT["OwnerSecretArn"]
    assert target.functions.get("AWS_CALLS") == ("relay" if profile == "tiny" else None)


def test_your_own_authorities_take_precedence(account: Account, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("mine")
    target = targeted(replace(account, env={"PROFILE": "tiny", "DATABASE_CA": str(ca)}), DIRECT)
    assert target.ca == ca


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "100"),
        ({"PROFILE": "small"}, "100"),
        ({"PROFILE": "tiny"}, "50"),
        ({"PROFILE": "tiny", "DATABASE_CONNECTIONS": "70"}, "70"),
    ],
)
def test_the_limit_of_connections_fits_the_profile(account: Account, env: dict[str, str], expected: str) -> None:
    target = targeted(replace(account, env=env), {**OUTPUTS, **DIRECT})
    assert target.functions["DATABASE_CONNECTIONS"] == expected


def test_the_owners_password_is_passed_to_the_migration_and_nowhere_else(account: Account, tmp_path: Path) -> None:
    target = targeted(replace(account, env={"PROFILE": "small"}), DIRECT)
    sent: list[dict[str, Any]] = []
    secrets = SimpleNamespace(
        get_secret_value=lambda SecretId: {"SecretString": json.dumps({"username": "hireflow", "password": SecretId})}  # noqa: N803 - boto3's name
    )

    def answer(**request: Any) -> dict[str, Any]:
        sent.append(request)
        return {"Payload": BytesIO(b"{}")}

    clients = {"secretsmanager": secrets, "lambda": SimpleNamespace(invoke=answer)}
    known = WithClients(**{each.name: getattr(target, each.name) for each in fields(Target)})
    object.__setattr__(known, "clients", clients)
    record = project.record(target)
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"resources": [{"resource_type": "rest_api", "rest_api_id": "abc"}]}))
    driver.migrate(known)
    assert json.loads(sent[0]["Payload"]) == {
        "api_url": "https://abc.execute-api.eu-central-1.amazonaws.com/api",
        "owner_password": DIRECT["OwnerSecretArn"],
    }
    driver.migrate(replace_target(known, owner_secret=""))
    assert "owner_password" not in json.loads(sent[1]["Payload"])


class WithClients(Target):
    """A target with the clients that the test passes in."""

    clients: Mapping[str, Any]

    def client(self, service: str) -> Any:
        return self.clients[service]


def replace_target(target: WithClients, **changes: Any) -> WithClients:
    changed = replace(target, **changes)
    object.__setattr__(changed, "clients", target.clients)
    return changed


def test_the_migration_reads_the_functions_login_from_the_secret_of_rds(account: Account) -> None:
    """The migration itself logs in with a signed token. But the functions' database role has a password, so the
    migration must read this password and must not sign a token for the role."""
    env = {**targeted(account).functions, **targeted(account).migration}
    app = Settings.from_env(
        {**env, "DATABASE_URL": "", "DATABASE_SECRET": env["APP_DATABASE_SECRET"], "DATABASE_IAM": "off"}
    )
    secret = '{"username": "hireflow_app", "password": "p", "host": "cluster.example", "port": 5432}'

    def never(*_: Any) -> str:
        raise AssertionError

    assert database_login(app, lambda _: secret, never)().startswith("postgresql+pg8000://hireflow_app:p@")


@pytest.mark.parametrize(
    ("stage", "reason"),
    [("local", "make up"), ("localstack", "make up"), ("", "not declared"), ("nowhere", "STAGE=prod")],
)
def test_a_stage_that_is_not_on_aws_is_refused(stage: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["deploy", "--stage", stage]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("deploy", "use make up, or add STAGE=prod"),
        ("destroy", "use make clean, or add STAGE=prod"),
        ("plan", "add STAGE=prod, because make plan is for stages on AWS"),
        ("unlock", "add STAGE=prod, because make unlock is for stages on AWS"),
    ],
)
def test_a_command_for_aws_without_a_stage_says_what_to_type(
    name: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([name, "--stage", "local"]) == 1
    assert remedy in capsys.readouterr().err


def test_a_plan_refuses_a_wrong_setting_before_it_asks_aws(account: Account) -> None:
    """Without credentials, a request to AWS would fail first, and would hide the wrong setting."""
    with pytest.raises(CloudError, match="PROFILE=tinny is not standard"):
        replace(account, env={**account.env, "PROFILE": "tinny"}).plan()


def test_missing_credentials_are_named_with_what_to_set(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CloudError, match=r"^no AWS credentials were found: set AWS_PROFILE"):
        account.plan()
    with pytest.raises(CloudError, match=r"^no AWS credentials were found: set AWS_PROFILE"):
        account.deploy()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CloudError, match=r"profile \(nobody\) could not be found: set AWS_PROFILE"):
        account.plan()


def test_without_a_region_nothing_is_deployed(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(CloudError, match="no region is set"):
        account.deploy()


def test_a_machine_that_has_not_deployed_the_stage_says_where_its_env_file_comes_from(account: Account) -> None:
    with pytest.raises(CloudError, match="is missing: copy it from the machine that deployed stage prod, or"):
        Commands("prod", ROOT, account.state, print).read_env()


def test_the_env_file_hides_no_credentials_of_the_user(account: Account) -> None:
    """A shell reads the env file. Values that the user has exported before must stay as they are."""
    target = targeted(account)
    deployed = target.project / ".chalice" / "deployed" / "prod.json"
    deployed.parent.mkdir(parents=True)
    deployed.write_text(json.dumps({"resources": [{"resource_type": "rest_api", "rest_api_id": "abc"}]}))
    with account.state.turn():
        account.state.write_env(account._env(target))
    own = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "s", "API_TOKEN": "t", "DATABASE_URL": "d"}
    script = f"set -a; . {account.state.env_file}; set +a; env"
    shown = subprocess.run(["/bin/sh", "-c", script], env=own, capture_output=True, text=True, check=True).stdout
    seen = dict(line.split("=", 1) for line in shown.splitlines())
    assert {name: seen[name] for name in own} == own
    assert "AWS_ENDPOINT_URL" not in seen
    assert seen["API_URL"] == "https://abc.execute-api.eu-central-1.amazonaws.com/api"
    assert seen["LANDING_BUCKET"] == "landing-1"
    commands = Commands(account.stage, ROOT, account.state, print)
    assert commands.read_env().items() <= seen.items()
    assert commands.deployed().landing == "landing-1"
    config = Config({}, account.state.folder)
    assert (config.api_url, config.token, config.aws) == (seen["API_URL"], "", {"AWS_DEFAULT_REGION": "eu-central-1"})


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_address_of_the_api_is_in_the_domain_of_the_region(
    account: Account, partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = targeted(account).project / ".chalice" / "deployed" / "prod.json"
    deployed.parent.mkdir(parents=True)
    deployed.write_text(json.dumps({"resources": [{"resource_type": "rest_api", "rest_api_id": "abc"}]}))
    session = boto3.session.Session()
    regions = session.get_available_regions("apigateway", partition)
    assert regions
    for region in regions:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        service = session.client("apigateway", region_name=region).meta.endpoint_url
        wanted = service.replace("apigateway", "abc.execute-api") + "/api"
        assert driver.api_url(targeted(account)) == wanted
