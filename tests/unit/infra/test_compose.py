"""Tests that docker-compose.localstack.yml is valid. The schema of the Compose specification comes from
check-jsonschema."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.compose import FILE


def validated(file: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "-o", "json"]
    return subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)


def test_the_file_is_valid_by_the_compose_specification() -> None:
    done = validated(FILE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "at"),
    [
        ("condition: service_healthy", "condition: healthy", "depends_on"),
        ("retries: 60", "retry: 60", "healthcheck"),
        ("networks: [hireflow]", "networks: 7", "networks"),
        ("image: postgres:15", "picture: postgres:15", "postgres"),
    ],
)
def test_a_mistake_in_the_file_is_found(tmp_path: Path, right: str, wrong: str, at: str) -> None:
    text = FILE.read_text()
    assert right in text
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(text.replace(right, wrong, 1))
    done = validated(broken)
    assert done.returncode == 1
    assert any(at in json.dumps(error) for error in json.loads(done.stdout)["errors"])
