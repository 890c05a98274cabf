"""Tests the project folder that is deployed: its files, and which changes of them make a new release."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel
from chalice.awsclient import TypedAWSClient
from chalice.config import Config

from chalicelib.api.http import vendored
from infra.deploy import project
from infra.deploy.target import Target, Vpc, bucket_names, queue_names

SECRET = "postgresql+pg8000://u:s3cret@127.0.0.1:1/hireflow"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    source = tmp_path / "source"
    (source / "chalicelib" / "sql").mkdir(parents=True)
    (source / ".chalice").mkdir()
    (source / "app.py").write_text("app = 1\n")
    (source / "requirements.txt").write_text("# none\n")
    (source / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (source / "chalicelib" / "a.py").write_text("a = 1\n")
    (source / "chalicelib" / "sql" / "a.sql").write_text("SELECT 1\n")
    for name in ("every-function", "ingest"):
        (source / ".chalice" / f"policy-{name}.json").write_text('{"Statement": [{"Resource": "${APP}"}]}')
    config = {"version": "2.0", "app_name": "hireflow", "stages": {"local": {"environment_variables": {"KEPT": "1"}}}}
    config["lambda_functions"] = {"ingest": {"iam_policy_file": "policy-ingest.json"}}
    (source / ".chalice" / "config.json").write_text(json.dumps(config))
    return Target(
        "local",
        source,
        tmp_path / "work",
        {**bucket_names("local"), **queue_names("local"), "DATABASE_URL": SECRET},
        {},
    )


def test_the_project_holds_exactly_the_deployed_files(target: Target) -> None:
    for litter in ("chalicelib/__pycache__/a.cpython-311.pyc", "chalicelib/.a.py.swp", ".chalice/deployed/local.json"):
        (target.source / litter).parent.mkdir(exist_ok=True)
        (target.source / litter).write_text("{}")
    project.assemble(target)
    laid_out = {str(p.relative_to(target.project)) for p in target.project.rglob("*") if p.is_file()}
    assert laid_out == {
        "app.py",
        "requirements.txt",
        "chalicelib/a.py",
        "chalicelib/sql/a.sql",
        ".chalice/config.json",
        ".chalice/policy-ingest.json",
        "vendor/pyproject.toml",
        *(f"vendor/{file}" for file in vendored.FILES),
    }


def test_a_file_deleted_from_the_source_is_deleted_from_the_project(target: Target) -> None:
    project.assemble(target)
    (target.source / "chalicelib" / "a.py").unlink()
    project.assemble(target)
    assert not (target.project / "chalicelib" / "a.py").exists()


def test_the_record_of_chalice_is_kept_and_old_packages_are_deleted(target: Target) -> None:
    project.assemble(target)
    record, packages = target.project / ".chalice" / "deployed" / "local.json", target.project / ".chalice/deployments"
    record.parent.mkdir()
    record.write_text(json.dumps({"resources": [{"resource_type": "rest_api", "rest_api_id": "abc"}]}))
    packages.mkdir()
    for number in range(4):
        (packages / f"{number}.zip").touch()
    project.assemble(target)
    assert project.api_id(target) == "abc"
    assert len(list(packages.iterdir())) == 2


def test_generated_values_are_written_to_the_project_and_not_to_the_source(target: Target) -> None:
    project.assemble(target)
    config = json.loads((target.project / ".chalice" / "config.json").read_text())
    variables = config["stages"]["local"]["environment_variables"]
    ours = {"HIREFLOW_STAGE": "local", "RELEASE": project.release(target)}
    assert variables == {"KEPT": "1", **target.functions, **ours}
    assert stat.S_IMODE(target.project.stat().st_mode) == 0o700
    assert not any("s3cret" in path.read_text() for path in target.source.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "name",
    [
        *("app.py", "requirements.txt", "pyproject.toml", "chalicelib/sql/a.sql"),
        *(".chalice/config.json", ".chalice/policy-ingest.json"),
    ],
)
def test_a_change_of_any_deployed_file_makes_another_release(target: Target, name: str) -> None:
    before = project.release(target)
    path = target.source / name
    path.write_text(path.read_text() + " ")
    assert project.release(target) != before


def test_a_changed_setting_makes_another_release(target: Target) -> None:
    changed = replace(target, functions={**target.functions, "ORPHAN_GRACE_MINUTES": "1"})
    assert project.release(changed) != project.release(target)


def test_functions_run_in_the_network_of_the_stage(target: Target) -> None:
    (target.source / ".chalice" / "policy-vpc.json").write_text('{"Statement": [{"Resource": "*"}]}')
    (target.source / ".chalice" / "policy-login.json").write_text('{"Statement": [{"Resource": "${DATABASE}"}]}')
    inside = replace(target, vpc=Vpc(("subnet-1", "subnet-2"), ("sg-1",), "prx-1", "owner", "app"))
    project.assemble(inside)
    stage = json.loads((target.project / ".chalice" / "config.json").read_text())["stages"]["local"]
    assert (stage["subnet_ids"], stage["security_group_ids"]) == (["subnet-1", "subnet-2"], ["sg-1"])
    policy = json.loads((target.project / ".chalice" / "policy-ingest.json").read_text())
    assert [statement["Resource"] for statement in policy["Statement"]] == [
        "hireflow-local",
        "*",
        "prx-1",
        "hireflow-local",
    ]
    assert project.release(inside) != project.release(target)


def _network_after_an_update(subnets: list[str], groups: list[str]) -> tuple[list[str], list[str]]:
    """Let Chalice update a function that has this configuration. Return the network that Chalice sends to Lambda."""
    make: Any = botocore.session.Session().create_client
    client = make("lambda", "us-east-1", aws_access_key_id="a", aws_secret_access_key="a")
    sent: list[dict[str, list[str]]] = []
    answer = SimpleNamespace(status_code=200)

    def respond(model: OperationModel, params: dict[str, Any], **_: Any) -> tuple[SimpleNamespace, dict[str, str]]:
        if model.name == "UpdateFunctionConfiguration":
            sent.append(json.loads(params["body"])["VpcConfig"])
        return answer, {"LastUpdateStatus": "Successful"}

    client.meta.events.register("before-call.lambda", respond)
    session: Any = SimpleNamespace(create_client=lambda *_, **__: client)
    TypedAWSClient(session).update_function("any", "", subnet_ids=subnets, security_group_ids=groups)
    return sent[0]["SubnetIds"], sent[0]["SecurityGroupIds"]


@pytest.mark.parametrize(("calls", "outside"), [("direct", {"relay"}), ("relay", {"relay", "redrive"})])
def test_functions_that_call_services_outside_of_the_network_are_removed_from_it(
    target: Target, calls: str, outside: set[str]
) -> None:
    vpc = Vpc(("subnet-1", "subnet-2"), ("sg-1",), "prx-1", "owner", "app")
    inside = replace(target, vpc=vpc, functions={**target.functions, "AWS_CALLS": calls})
    assert inside.outside_vpc == outside
    config = project.configuration(inside)
    for name in ("ingest", "relay", "redrive"):
        chosen = Config(chalice_stage="local", function_name=name, config_from_disk=config)
        expected = ([], []) if name in outside else (["subnet-1", "subnet-2"], ["sg-1"])
        assert (chosen.subnet_ids, chosen.security_group_ids) == expected
        assert _network_after_an_update(chosen.subnet_ids, chosen.security_group_ids) == expected
    assert "subnet_ids" not in project.configuration(replace(inside, vpc=None))["stages"]["local"]["lambda_functions"]


def test_a_file_of_certificate_authorities_is_deployed(target: Target, tmp_path: Path) -> None:
    ca = tmp_path / "global-bundle.pem"
    ca.write_text("certificates")
    with_ca = replace(target, ca=ca)
    project.assemble(with_ca)
    assert (target.project / "vendor" / "database-ca.pem").read_text() == "certificates"
    before = project.release(with_ca)
    ca.write_text("others")
    assert project.release(with_ca) != before


def test_moving_bytes_between_files_makes_another_release(target: Target) -> None:
    (target.source / "chalicelib" / "b.py").write_text("b")
    before = project.release(target)
    (target.source / "chalicelib" / "a.py").write_text("a = 1\nb")
    (target.source / "chalicelib" / "b.py").write_text("")
    assert project.release(target) != before


def test_bytecode_does_not_make_another_release(target: Target) -> None:
    before = project.release(target)
    (target.source / "chalicelib" / "__pycache__").mkdir()
    (target.source / "chalicelib" / "__pycache__" / "a.cpython-311.pyc").touch()
    assert project.release(target) == before
