"""Tests how a stage in an AWS account gets the network and the database logins of its functions from the outputs of its
stacks."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib.cloud.database_login import database_login
from chalicelib.core.settings import Settings
from infra.aws import stacks
from infra.deploy import __main__ as command
from infra.deploy.account import Account
from infra.deploy.target import Target, Vpc
from infra.errors import CloudError
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


def test_a_plan_can_be_made_with_the_stacks_of_the_release_before_notices(account: Account) -> None:
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


def test_without_a_region_nothing_is_deployed(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(CloudError, match="no region is set"):
        account.deploy()
