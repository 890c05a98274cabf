"""Changes the profile of one stage on the embedded cloud: existing -> tiny -> small -> standard, with all stacks.

The embedded cloud has no real RDS. So these tests leave out the resources that its CloudFormation lacks
(tests/integration/infra/test_stacks.py lists them), and add the outputs of these resources to the stacks. Each kind of
database is a database of the embedded Postgres, to which the functions log in with a password and without TLS. IAM
logins, security groups, the proxy and its rotation are not tested here.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from infra.aws import stacks
from infra.aws.profiles import Kind
from infra.deploy.account import Account
from infra.deploy.ordered_stacks import Outputs
from infra.deploy.parameters import profile_of
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.local import provision
from infra.local.cloud import Embedded, Services
from infra.local.commands import Commands
from infra.local.state import State
from infra.locks import locked
from infra.settings.chosen import Chosen, choose
from infra.venv import ROOT
from tests.e2e.cloud import Cloud
from tests.templates import parsed, without, written

STAGE = "prod"
_FOLDER = ROOT / ".local-profiles"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 1800  # seconds to wait until another run in the same checkout ends
_LACKING = (
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::RDS::DBProxy",
    "AWS::RDS::DBProxyTargetGroup",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::IAM::Role",  # the role of the proxy; its policy names the secret that RDS makes for the database owner
)
# Both names mean this machine. The host in the functions' URL shows which database they use.
_HOSTS: Mapping[str, str] = {"database": "127.0.0.1", "instance": "localhost"}
_DATABASES: Mapping[Kind, str] = {"own": "hireflow", "aurora": "aurora", "instance": "tiny"}
_OWNER_SECRET = "rds-owner"


@pytest.fixture(autouse=True)
def empty() -> None:
    """Override the fixture of conftest.py that empties the tables of the session's stage. These tests have their own
    cloud."""


def supported(folder: Path) -> SimpleNamespace:
    """Return the stacks without the resources that the embedded cloud lacks, but with the outputs of these
    resources."""

    def whole(part: str, parameters: Mapping[str, str]) -> Path:
        template = without(parsed(part, parameters), *_LACKING) if part in ("network", *_HOSTS) else parsed(part)
        for name in [name for name in template["Resources"] if name.endswith("OnlyTls")]:  # the cloud has no TLS
            del template["Resources"][name]
        for name in (
            "OwnerSecretArn",
            "ClusterResourceId",
            "InstanceResourceId",
            "ClusterEndpoint",
            "InstanceEndpoint",
        ):
            template["Outputs"].pop(name, None)
        if part in _HOSTS:
            template.pop("Transform", None)
        folder.mkdir(exist_ok=True)
        return written(template, part, folder)

    def apply(client: Any, stage: str, part: str, parameters: Mapping[str, str]) -> Outputs:
        stacks.apply(client, stage, part, parameters, whole(part, parameters))
        return outputs(client, stage, part)

    def plan(client: Any, stage: str, part: str, parameters: Mapping[str, str]) -> Any:
        return stacks.plan(client, stage, part, parameters, whole(part, parameters))

    def outputs(client: Any, stage: str, part: str) -> Outputs:
        found = stacks.outputs(client, stage, part)
        if part not in _HOSTS:
            return found
        host = _HOSTS[part]
        proxy = {"ProxyEndpoint": host, "ProxyResourceId": "prx-1"} if found.get("ThroughProxy") == "true" else {}
        lacking = {
            "database": {"ClusterEndpoint": host, "ClusterResourceId": "cluster-1", **proxy},
            "instance": {"InstanceEndpoint": host, "InstanceResourceId": "db-1"},
        }
        return {**found, **lacking[part], "OwnerSecretArn": _OWNER_SECRET}

    parts = tuple(part for part in stacks.PARTS if part != "queries")  # this cloud does not know the saved queries
    return SimpleNamespace(**{**vars(stacks), "apply": apply, "plan": plan, "outputs": outputs, "PARTS": parts})


@dataclass(frozen=True)
class StandIn(Account):
    """An account whose functions log in to databases of the embedded Postgres instead of RDS."""

    def target(self, outputs: Outputs, chosen: Chosen) -> Target:
        made = super().target(outputs, chosen)
        if profile_of(chosen).database == "own":
            return made
        services = self.state.notes()
        name = _DATABASES[profile_of(chosen).database]
        host = urlsplit(made.functions["DATABASE_URL"]).hostname

        def url(kind: str) -> str:
            parts = urlsplit(services[kind])
            return f"{parts.scheme}://{parts.username}:{parts.password}@{host}:{parts.port}/{name}"

        plain = {"DATABASE_IAM": "off", "DATABASE_TLS": "disable", "DATABASE_CA": ""}
        functions = {**made.functions, **plain, "DATABASE_URL": url("functions_url")}
        migration = {
            "DATABASE_URL": url("database_url"),
            "APP_DATABASE_URL": url("functions_url"),
            "DATABASE_IAM": "off",
        }
        return replace(made, functions=functions, migration=migration)


@pytest.fixture(scope="module")
def services(stage: str | None) -> Iterator[Services]:
    """Start an embedded cloud with three databases, but deploy no stage on it."""
    if stage is not None:
        pytest.skip("the tests did not start these services, so they deploy no other stage on them")
    state = State(_FOLDER)
    with locked(ROOT / ".local-profiles.lock", _WAIT, "another run of these tests does not end"):
        Commands("local", ROOT, state, print).clean()
        with state.turn():
            embedded = Embedded(state)
            try:
                found = embedded.up(print, choose("local", {}, {}))
                owner = urlsplit(found.database_url).username
                with closing(provision.connect(embedded._postgres().superuser_url)) as server:
                    for name in ("aurora", "tiny"):
                        server.run(f"CREATE DATABASE {name} OWNER {owner}")
                yield found
            finally:
                embedded.clean(print)
                state.delete()


@pytest.fixture(scope="module")
def account(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    state = State(tmp_path_factory.mktemp("account") / "state")
    with state.turn():
        state.note(database_url=services.database_url, functions_url=services.functions_url)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in services.aws.items():
            patch.setenv(name, value)
        patch.delenv("HIREFLOW_AUTH", raising=False)
        here: Any = supported(tmp_path_factory.mktemp("templates"))
        yield StandIn(STAGE, ROOT, state, here, print, dict(services.aws))


def with_env(account: Account, reset: tuple[str, ...] = (), **env: str) -> Account:
    return replace(account, env={**account.env, **env}, reset=reset)


def cloud(account: Account) -> Cloud:
    commands = Commands(STAGE, ROOT, account.state, print)
    token = commands.invoke("tokens", {"action": "create", "role": "operator", "note": "test"})["token"]
    return Cloud(commands, {**account.env, **commands.read_env(), "API_TOKEN": token})


def existing(account: Account) -> set[str]:
    return {part for part in stacks.PARTS if stacks.exists(account._cloud, STAGE, part)}


def commands_client(account: Account, service: str) -> Any:
    return Commands(STAGE, ROOT, account.state, print).deployed().client(service)


def rows(account: Account, services: Services, kind: Kind) -> list[list[Any]]:
    url = services.database_url.rpartition("/")[0] + f"/{_DATABASES[kind]}"
    with closing(provision.connect(url)) as server:
        return [list(row) for row in server.run("SELECT id, department FROM departments ORDER BY id")]


def secrets_exist(account: Account) -> bool:
    try:
        commands_client(account, "secretsmanager").describe_secret(SecretId="hireflow-prod-database-functions")
    except ClientError:
        return False
    return True


OTHER_DATABASE = ("DATABASE_URL", "DATABASE_TLS")  # the settings of the database with which the stage begins


def test_a_stage_begins_with_its_own_postgres(account: Account, services: Services) -> None:
    with_env(account, DATABASE_URL=services.database_url, DATABASE_TLS="disable").deploy()
    assert existing(account) == {"storage", "operations"}
    assert cloud(account).post("/department/upload", {"id": 9001, "department": "Research"}).status == 201
    assert rows(account, services, "own") == [[9001, "Research"]]


def test_another_database_is_refused_without_confirmation(account: Account) -> None:
    tiny = with_env(account, OTHER_DATABASE, PROFILE="tiny")
    lines = list(tiny.plan().lines())
    assert lines[0] == "THE DATABASE IS REPLACED BY AN EMPTY ONE (your own Postgres -> an RDS instance)"
    assert "profile tiny" in lines
    assert any(line.startswith("  RDS, db.t4g.micro: ") for line in lines)
    for confirmation in ("", "1", "local"):
        with pytest.raises(CloudError, match=r"nothing was changed: PROFILE=tiny replaces .* add YES=prod"):
            with_env(tiny, OTHER_DATABASE, YES=confirmation).deploy()
    assert existing(account) == {"storage", "operations"}


class Interrupted(Exception):
    pass


def test_after_an_interruption_the_stage_still_has_its_database(account: Account, services: Services) -> None:
    """The new database exists, and the stage has kept the new profile. But the functions still use the old database, so
    the next deployment needs the confirmation, too."""
    secrets = commands_client(account, "secretsmanager")
    password = urlsplit(services.database_url).password
    secrets.create_secret(Name=_OWNER_SECRET, SecretString=json.dumps({"username": "hireflow", "password": password}))

    def interrupt(message: str) -> None:
        if message == "project":
            raise Interrupted

    with pytest.raises(Interrupted):
        replace(with_env(account, OTHER_DATABASE, PROFILE="tiny", YES=STAGE), report=interrupt).deploy()
    assert existing(account) == {"storage", "network", "instance", "operations"}
    assert cloud(account).post("/department/upload", {"id": 9001, "department": "Research"}).status == 200
    assert account.settings().text("PROFILE") == "tiny"
    with pytest.raises(CloudError, match="add YES=prod"):
        account.deploy()


def test_the_new_database_is_empty_and_the_printed_command_brings_the_rows_back(
    account: Account, services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    with_env(account, YES=STAGE).deploy()
    assert existing(account) == {"storage", "network", "instance", "operations"}
    assert rows(account, services, "instance") == []
    assert rows(account, services, "own") == [[9001, "Research"]]
    said = capsys.readouterr().out
    assert said.count("last restore point\n") == 2
    point = said.partition("./hireflow restore all --point ")[2].split()[0]
    assert cloud(account).restore("department", point)["status"] == "succeeded"
    assert rows(account, services, "instance") == [[9001, "Research"]]


def test_a_tiny_stage_has_only_what_it_pays_for(account: Account) -> None:
    functions = commands_client(account, "lambda")
    deployed = functions.get_function_configuration(FunctionName="hireflow-prod-backup")
    assert deployed["Environment"]["Variables"]["AWS_CALLS"] == "relay"
    assert deployed["Environment"]["Variables"]["DATABASE_CONNECTIONS"] == "50"
    assert len(deployed["VpcConfig"]["SubnetIds"]) == 2
    endpoints = commands_client(account, "ec2").describe_vpc_endpoints()["VpcEndpoints"]
    assert [it["VpcEndpointType"] for it in endpoints] == ["Gateway"]


def test_another_machine_finds_the_profile_of_the_stage(account: Account) -> None:
    lines = list(account.plan().lines())
    assert "profile tiny" in lines
    assert {f"stack {part}: no change" for part in ("storage", "network", "instance", "operations")} <= set(lines)
    assert "functions to be updated: none" in lines
    assert [line for line in lines if line.isupper()] == []


def test_the_old_stack_is_deleted_after_the_new_database_works(account: Account, services: Services) -> None:
    with_env(account, PROFILE="small", YES=STAGE).deploy()
    assert existing(account) == {"storage", "network", "database", "operations"}
    assert rows(account, services, "aurora") == []
    rds = commands_client(account, "rds")
    assert len(rds.describe_db_clusters()["DBClusters"]) == 1
    assert len(rds.describe_db_instances()["DBInstances"]) == 1
    assert not secrets_exist(account)
    endpoints = commands_client(account, "ec2").describe_vpc_endpoints()["VpcEndpoints"]
    assert sorted(len(it.get("SubnetIds", ())) for it in endpoints) == [0, 1, 1]


def test_the_proxy_and_the_standby_come_without_confirmation_and_the_data_stay(
    account: Account, services: Services
) -> None:
    assert cloud(account).post("/department/upload", {"id": 9002, "department": "Sales"}).status == 201
    rds = commands_client(account, "rds")
    cluster = rds.describe_db_clusters()["DBClusters"][0]["DbClusterResourceId"]
    standard = with_env(account, PROFILE="standard")
    assert next(iter(standard.plan().lines())).startswith("THE PROXY AND THE STANDBY ARE ADDED. ALL DATA STAY.")
    standard.deploy()
    assert rows(account, services, "aurora") == [[9002, "Sales"]]
    assert rds.describe_db_clusters()["DBClusters"][0]["DbClusterResourceId"] == cluster
    assert len(rds.describe_db_instances()["DBInstances"]) == 2
    assert secrets_exist(account)
    endpoints = commands_client(account, "ec2").describe_vpc_endpoints()["VpcEndpoints"]
    assert sorted(len(it.get("SubnetIds", ())) for it in endpoints) == [0, 2, 2, 2]


def test_another_snapshot_is_refused(account: Account) -> None:
    with pytest.raises(CloudError, match="was not created from a snapshot, and another value would replace it"):
        with_env(account, DATABASE_SNAPSHOT="before").deploy()


def test_the_stage_is_destroyed_with_all_its_stacks(account: Account) -> None:
    with_env(account, YES=STAGE).destroy()
    assert existing(account) == set()
    assert account._client("rds").describe_db_clusters()["DBClusters"] == []
