"""Tests the deployment package that Chalice builds. It is checked and has compiled bytecode, and each build has the
same bytes."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from infra.deploy import package, project
from infra.deploy.target import Target, bucket_names, queue_names
from infra.errors import CloudError
from infra.venv import ROOT


@pytest.fixture
def target(tmp_path: Path) -> Target:
    names = {**bucket_names("prod"), **queue_names("prod")}
    aws = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    source = tmp_path / "source"
    for name in ("chalicelib", ".chalice"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("deployed", "deployments"))
    for name in ("app.py", "requirements.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, source / name)
    assembled = Target("prod", source, tmp_path / "work", names, aws)
    project.assemble(assembled)
    return assembled


def test_the_same_code_gives_the_same_bytes(target: Target, tmp_path: Path) -> None:
    built = package.build(target)
    first, packed_at = built.read_bytes(), built.stat().st_mtime_ns
    assert package.build(target) == built
    # The file is unchanged, so the second build has not written it again.
    assert (built.read_bytes(), built.stat().st_mtime_ns) == (first, packed_at)
    other = replace(target, work=tmp_path / "elsewhere")
    project.assemble(other)
    assert package.build(other).read_bytes() == first
    assert len(first) < package.LIMIT
    with ZipFile(io.BytesIO(first)) as archive:
        names = set(archive.namelist())
    assert names >= {"app.py", "pyproject.toml"}  # the API reads its version from this file
    compiled = {name for name in names if name.endswith(".pyc")}
    assert {name.split("/")[0] for name in compiled} >= {"__pycache__", "chalicelib", "chalice", "pg8000", "fastavro"}
    speedups = compiled | {name for name in names if name.endswith(".so")}
    assert not [name for name in speedups if name.startswith(("sqlalchemy", "alembic"))]


def test_a_package_is_built_for_the_architecture_of_the_stage(target: Target) -> None:
    """Chalice uses wheels for the architecture in config.json, and reports an error if a wheel is missing."""
    path = target.source / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["prod"]["lambda_architecture"] = "arm64"
    path.write_text(json.dumps(config))
    project.assemble(target)
    with ZipFile(package.build(target)) as archive:
        binaries = [archive.read(name) for name in archive.namelist() if name.endswith(".so")]
    assert binaries
    assert {body[18] for body in binaries} == {0xB7}


COMPILED = """
import sys
sys.path.insert(0, sys.argv[1])
import fastavro, markupsafe, python_calamine, sqlalchemy.util
from fastavro import _read, _write
from markupsafe import _speedups
assert fastavro.read.reader is _read.reader and fastavro.write.Writer is _write.Writer
assert markupsafe._escape_inner is _speedups._escape_inner
assert python_calamine.CalamineWorkbook
assert sqlalchemy.util.has_compiled_ext()
print(fastavro.__file__)
"""


def test_the_package_for_this_machine_has_compiled_modules_that_run_here(target: Target) -> None:
    """If the compiled modules are missing, these packages still work, but slowly, and print no warning."""
    local = replace(target, stage="local", work=target.work.with_name("local"))
    project.assemble(local)
    vendor = local.project / "vendor"
    # with -S, Python cannot import the packages of its own environment
    command = [sys.executable, "-I", "-S", "-c", COMPILED, str(vendor)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(vendor / "fastavro" / "__init__.py"), done.stderr
    assert not [line for line in (local.project / "requirements.txt").read_text().splitlines() if line[0] != "#"]


def test_a_package_without_one_of_its_requirements_is_refused(target: Target) -> None:
    """Chalice itself would only print a warning and deploy the package."""
    requirements = target.source / "requirements.txt"
    requirements.write_text("six==1.17.0\n# there is no wheel of it that runs on Lambda:\npython-Levenshtein==0.12.2\n")
    project.assemble(target)
    with pytest.raises(CloudError, match=r"[Ll]evenshtein (0.12.2 is missing|is built for)"):
        package.build(target)
