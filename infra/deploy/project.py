"""Assembles the Chalice project that is deployed, from the repository's code and the stage's generated configuration.

The project lies outside the source tree. So nobody can commit a password or an account's values by mistake, and saving
a source file does not disturb a running deployment.
"""

import json
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chalicelib.api.http import vendored
from infra.deploy import packages
from infra.deploy.policies import PolicyContext, policies
from infra.deploy.target import CA_FILE, Target

_TREES = ("chalicelib", "vendor")
_FILES = ("app.py", "requirements.txt")
_VERSION_FILE = "pyproject.toml"  # declares the version that the API shows
_DRIVER = Path(__file__).parent
# The names of two environment variables of every function, which hold the function's stage and release.
STAGE, RELEASE = "HIREFLOW_STAGE", "RELEASE"


def release(target: Target) -> str:
    """Return a hash of everything that a deployment depends on. If the hash is unchanged, no deployment is needed."""
    digest = sha256()
    for path in [*_sources(target.source), *map(vendored.located, vendored.FILES), *sorted(_DRIVER.glob("*.py"))]:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    if target.ca:
        digest.update(target.ca.read_bytes())
    vpc = asdict(target.vpc) if target.vpc else None
    settings = [vpc, dict(target.functions), dict(target.migration), dict(target.secrets), sys.version_info[:2]]
    settings += [asdict(_platform(target)), dict(target.reserved), {"tracing": target.tracing}]
    digest.update(json.dumps([*settings, version("chalice")], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def assemble(target: Target) -> None:
    """Write the project folder. The files that Chalice keeps in it (.chalice/deployed, packages) stay."""
    project, config_folder = target.project, target.project / ".chalice"
    config_folder.mkdir(parents=True, exist_ok=True)
    project.chmod(0o700)  # the configuration holds the database password
    for name in _TREES:
        shutil.rmtree(project / name, ignore_errors=True)
        if (target.source / name).is_dir():
            shutil.copytree(target.source / name, project / name, ignore=_ignored)
    for name in _FILES:
        shutil.copyfile(target.source / name, project / name)
    for name in vendored.FILES:
        copy = project / "vendor" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(vendored.located(name), copy)
    shutil.copyfile(target.source / _VERSION_FILE, project / "vendor" / _VERSION_FILE)
    if target.ca:
        shutil.copyfile(target.ca, project / "vendor" / CA_FILE)
    if _platform(target).host:
        packages.copy_installed((project / "requirements.txt").read_text(), project / "vendor")
        (project / "requirements.txt").write_text("# All packages are in vendor/.\n")
    config = configuration(target)
    (config_folder / "config.json").write_text(json.dumps(config, indent=2))
    for old in config_folder.glob("policy-*.json"):
        old.unlink()
    filled = policies(
        target.source / ".chalice",
        target.stage,
        config["lambda_functions"],
        target.functions,
        PolicyContext(target.vpc, target.outside_vpc, target.partition, target.tracing),
    )
    for function, policy in filled.items():
        (config_folder / config["lambda_functions"][function]["iam_policy_file"]).write_text(
            json.dumps(policy, indent=2)
        )
    _prune(config_folder / "deployments")


def configuration(target: Target) -> dict[str, Any]:
    """Return Chalice's configuration with the values of the stage."""
    config: dict[str, Any] = json.loads((target.source / ".chalice" / "config.json").read_text())
    stage = config["stages"][target.stage]
    if architecture := _platform(target).architecture:
        stage["lambda_architecture"] = architecture
    stage["environment_variables"] = {
        **stage.get("environment_variables", {}),
        **target.functions,
        STAGE: target.stage,
        RELEASE: release(target),
    }
    if target.vpc:
        stage["subnet_ids"], stage["security_group_ids"] = map(list, (target.vpc.subnets, target.vpc.security_groups))
    functions = stage.setdefault("lambda_functions", {})
    if target.vpc:
        for name in target.outside_vpc:  # with empty lists, Chalice removes a function from its former network
            functions.setdefault(name, {}).update(subnet_ids=[], security_group_ids=[])
    functions.setdefault("migrate", {})["environment_variables"] = dict(target.migration)
    if target.tracing:
        stage["xray"] = True
    for name, number in target.reserved.items():
        functions.setdefault(name, {})["reserved_concurrency"] = number
    return config


def _platform(target: Target) -> packages.Platform:
    return packages.platform_of(target.stage, platform.machine(), platform.system())


def record(target: Target) -> Path:
    """Return the path of the file in which Chalice records the resources that it has deployed."""
    return target.project / ".chalice" / "deployed" / f"{target.stage}.json"


def deployed(target: Target) -> list[dict[str, str]]:
    """Return the resources that Chalice has recorded for the stage."""
    try:
        return list(json.loads(record(target).read_text())["resources"])
    except (OSError, ValueError):
        return []


def api_id(target: Target) -> str | None:
    return next((r["rest_api_id"] for r in deployed(target) if r["resource_type"] == "rest_api"), None)


def function_names(target: Target) -> list[str]:
    """Return the names in Lambda of all functions."""
    return [r["lambda_arn"].rpartition(":")[2] for r in deployed(target) if r["resource_type"] == "lambda_function"]


def _sources(root: Path) -> Iterator[Path]:
    yield from (root / name for name in (*_FILES, _VERSION_FILE))
    for tree in _TREES:
        yield from sorted(path for path in (root / tree).rglob("*") if path.is_file() and _ships(path))
    yield from sorted((root / ".chalice").glob("*.json"))


def _ships(path: Path) -> bool:
    return not ({"__pycache__"} & set(path.parts) or path.suffix == ".pyc" or path.name.startswith("."))


def _ignored(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not _ships(Path(folder, name))}


def _prune(packages: Path, keep: int = 2) -> None:
    """Delete old deployment packages. Chalice builds a new one for every change of the code, and never deletes one."""
    archives = sorted(packages.glob("*.zip"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[keep:]:
        old.unlink()
