"""Tests the workflows of GitHub Actions: their schema, their pins and permissions, and the commands that they run.

zizmor, which `make check` runs, finds further problems, such as expressions through which an attacker could insert
commands.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.venv import ROOT
from tests.templates import parsed

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMA = "vendor.github-workflows"  # the schema of SchemaStore, which check-jsonschema contains


def workflow(name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text()))


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        for name, job in workflow(file.stem)["jobs"].items():
            yield f"{file.stem}/{name}", job


def validated(file: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMA, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_a_workflow_is_valid_by_the_schema_of_github(file: Path) -> None:
    done = validated(file)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("runs-on:", "run-on:"), ("id-token: write", "id-token: yes please"), ("timeout-minutes: 110", "timeout: 110")],
)
def test_the_schema_finds_mistakes(tmp_path: Path, right: str, wrong: str) -> None:
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    assert right in text
    (tmp_path / "deploy.yml").write_text(text.replace(right, wrong))
    assert validated(tmp_path / "deploy.yml").returncode != 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_actions_are_pinned_by_commit_and_say_their_version(file: Path) -> None:
    """A tag can be moved to other code, but the id of a commit always means the same code."""
    used = re.findall(r"uses: (.+)", file.read_text())
    assert used
    ours = re.compile(r"\./\.github/workflows/\w+\.yml  # .+")
    for one in used:
        assert ours.fullmatch(one) or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", one), one


def test_each_action_has_one_version() -> None:
    pins = {one for file in FILES for one in re.findall(r"uses: ([\w-]+/[\w-]+@.+)", file.read_text())}
    assert len({pin.partition("@")[0] for pin in pins}) == len(pins) == 3


def test_jobs_have_the_least_permissions_and_no_secrets() -> None:
    for file in FILES:
        assert workflow(file.stem)["permissions"] == {}
        assert "secrets." not in file.read_text()
    for name, job in jobs():
        of_aws = {"id-token": "write"} if name in ("plan/plan", "deploy/deploy") else {}
        assert job["permissions"] == {"contents": "read", **of_aws}, name
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


def test_the_workflows_run_commands_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = {
        name: re.findall(r"\bmake ([a-z-]+)", "\n".join(step.get("run", "") for step in job.get("steps", ())))
        for name, job in jobs()
    }
    assert found == {
        "check/linux": ["check", "test"],
        "check/others": ["test"],
        "deploy/check": [],
        "deploy/deploy": ["deploy"],
        "plan/plan": ["plan"],
    }
    assert {command for each in found.values() for command in each} <= targets
    assert "\nmake test " in (ROOT / "README.md").read_text()


def test_machines_that_nobody_has_tried_are_marked_and_may_fail() -> None:
    others = workflow("check")["jobs"]["others"]
    assert others["continue-on-error"] is True
    assert others["name"].startswith("Not yet tried")


def test_a_deployment_needs_the_checks_an_approval_and_a_long_session() -> None:
    deploy = workflow("deploy")
    job = deploy["jobs"]["deploy"]
    template = parsed("deployer")
    assert job["needs"] == "check"
    assert job["environment"] == template["Parameters"]["Environment"]["Default"]
    assert deploy["concurrency"]["cancel-in-progress"] is False
    [session] = [step["with"]["role-duration-seconds"] for step in job["steps"] if "role" in str(step.get("with"))]
    assert session == template["Resources"]["DeployRole"]["Properties"]["MaxSessionDuration"]
    assert session > job["timeout-minutes"] * 60
    assert deploy[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}  # YAML 1.1 reads `on` as True


def test_forks_get_no_plan() -> None:
    assert "head.repo.full_name == github.repository" in workflow("plan")["jobs"]["plan"]["if"]
    assert set(workflow("plan")[True]) == {"pull_request"}
