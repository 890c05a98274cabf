"""Tests the sets of packages in `requirements/`: their content, their lock files, and the platforms of the Postgres
wheels."""

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from infra.errors import CloudError
from infra.install import lock, sets
from infra.venv import ROOT

LOCAL = ("app.py", "chalicelib", "cli", "infra/cli", "infra/demo", "infra/deploy", "infra/local", "infra/aws")
NOT_OURS = {"ministack", "hypercorn"}  # not in these sets: the embedded AWS has its own environment
HASHED = re.compile(r"^[\w.-]+==\S+(?: ; [^\\]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE)


def locked(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", lock.NAMES)
def test_a_lock_was_compiled_from_its_present_input(name: str) -> None:
    """The input is the `.in` file. If this test fails, run `make lock`."""
    text = locked(name)
    assert lock.stated(text) == lock.fingerprint(name)
    wanted = lock.pins("\n".join(lock.lines(lock.source(name))))
    assert wanted.items() <= lock.pins(text).items()


@pytest.mark.parametrize("name", lock.NAMES)
def test_inputs_pin_every_line(name: str) -> None:
    assert lock.unpinned(lock.source(name)) == []


@pytest.mark.parametrize("line", ["alpha", "alpha>=1", "alpha==1.*", "alpha[extra]", "alpha @ file:///a.whl", "--pre"])
def test_an_input_that_is_not_pinned_is_refused(tmp_path: Path, line: str) -> None:
    included, path = tmp_path / "runtime.in", tmp_path / "local.in"
    included.write_text("beta[x]==2.0 ; python_version < '3.12'  # why\n")
    path.write_text(f"-r runtime.in\n{line}\n")
    including = tmp_path / "aws.in"
    including.write_text("-r local.in\n")
    lock.check_pinned([included])
    with pytest.raises(CloudError) as raised:
        lock.check_pinned([included, path, including])
    assert str(raised.value) == (
        f"nothing was changed: these lines pin no version: {line} (local.in): write NAME==VERSION"
    )


@pytest.mark.parametrize("name", lock.NAMES)
def test_every_package_of_a_lock_has_hashes_and_no_address(name: str) -> None:
    text = locked(name)
    assert len(HASHED.findall(text)) == len(lock.pins(text)) > 0
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=)", text, re.MULTILINE)


def test_each_set_contains_the_sets_before_it_in_the_same_versions() -> None:
    held = [lock.pins(locked(name)).items() for name in sets.CUMULATIVE]
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(held))
    wheels, all_else = lock.pins(locked("postgres")), lock.pins(locked("develop"))
    assert {name: all_else[name] for name in wheels if name in all_else}.items() <= wheels.items()


def test_the_local_set_contains_no_development_tools() -> None:
    assert not {"mypy", "pytest", "ruff", "moto", "playwright", "duckdb"} & set(lock.pins(locked("local")))
    assert re.findall(r"install\.sh\W+(.*?) <", (ROOT / "hireflow").read_text()) == ["local"]


def test_local_programs_import_only_packages_of_the_local_set() -> None:
    of, there = packages_distributions(), lock.pins(locked("local"))
    files = [
        path for tree in LOCAL for path in ([ROOT / tree] if tree.endswith(".py") else (ROOT / tree).rglob("*.py"))
    ]
    for path in files:
        for name in set(imports(ast.parse(path.read_text()))) - NOT_OURS:
            assert any(lock.pins(f"{found}==0").keys() <= there.keys() for found in of.get(name, [name])), (path, name)


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the third-party packages that a module imports at run time (not only for type hints)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        ours = {"infra", "chalicelib", "cli", "app"}
        yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names - ours
        yield from imports(node)


@pytest.mark.parametrize(
    ("system", "machine", "glibc", "runs"),
    [
        ("Linux", "x86_64", (2, 36), True),
        ("Linux", "aarch64", (2, 28), True),
        ("Linux", "x86_64", (2, 27), False),
        ("Linux", "x86_64", None, False),  # a system with musl in place of glibc
        ("Linux", "riscv64", (2, 36), False),
        ("Darwin", "arm64", None, True),
        ("FreeBSD", "amd64", None, False),
    ],
)
def test_the_postgres_wheel_is_used_only_where_it_runs(
    system: str, machine: str, glibc: tuple[int, ...] | None, runs: bool
) -> None:
    assert sets.has_postgres_wheel(system, machine, glibc) is runs


def test_the_postgres_wheel_is_not_used_if_other_programs_are_named() -> None:
    assert not sets.wants_postgres({"HIREFLOW_PG_BIN": "/usr/lib/postgresql/15/bin"})


def test_environments_hold_the_largest_set_or_a_set_of_their_own(tmp_path: Path) -> None:
    assert sets.held(["develop", "postgres"]) == ["runtime", "deploy", "local", "develop", "postgres"]
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "ministack.txt").touch()
    ours, apart = sets.environments(tmp_path, ["local", "develop", "postgres", "ministack"])
    assert (ours.home, ours.sets) == (tmp_path / ".venv", ("develop", "postgres"))
    assert (apart.home.parent, apart.sets) == (tmp_path / ".venv-aws", ("ministack",))
    with pytest.raises(CloudError, match="unknown set lokal: choose one of runtime, deploy, local"):
        sets.environments(tmp_path, ["lokal"])
