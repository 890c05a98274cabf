"""The README keeps up with the code: no route, command, setting, status or dependency goes unmentioned."""

import itertools
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from app import app
from chalicelib.core import errors
from chalicelib.monitoring.metrics import UNITS
from cli.app import app as cli
from infra.settings.declaration import COMPUTED, OF_USERS
from infra.venv import ROOT

README = (ROOT / "README.md").read_text()
PLURAL = re.compile(r"/(departments|jobs|hired_employees)/")  # said once for all three


def commands() -> list[str]:
    return re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


def command_line() -> Iterator[str]:
    for entry in cli.registered_commands:
        yield str(entry.name or (entry.callback and entry.callback.__name__))
    for group in cli.registered_groups:
        assert group.typer_instance is not None
        for entry in group.typer_instance.registered_commands:
            yield f"{group.name} {entry.name or (entry.callback and entry.callback.__name__)}"


def settings() -> set[str]:
    return {each.name for each in (*OF_USERS, *COMPUTED)}


def dependencies() -> set[str]:
    inputs = [ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.in")]
    lines = "\n".join(path.read_text() for path in inputs)
    return set(re.findall(r"^([a-z0-9_-]+)(?:\[.*\])?==", lines, re.MULTILINE | re.IGNORECASE))


@pytest.mark.parametrize("path", sorted(app.routes))
def test_every_route_is_there(path: str) -> None:
    assert f"{PLURAL.match(path)[0]}…" in README if PLURAL.match(path) else f"{path}`" in README  # type: ignore[index]


@pytest.mark.parametrize("name", commands())
def test_every_command_is_there(name: str) -> None:
    assert name == "help" or f"`make {name}`" in README or f"make {name} " in README


@pytest.mark.parametrize("name", list(command_line()))
def test_every_command_of_the_command_line_is_there(name: str) -> None:
    rows = "\n".join(line for line in README.splitlines() if line.startswith("| `./hireflow"))
    assert re.search(f"`./hireflow {name}[` ]", rows)


@pytest.mark.parametrize("name", sorted(settings()))
def test_every_setting_is_there(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", sorted(dependencies()))
def test_every_dependency_has_its_reason(name: str) -> None:
    table = [row.split("|")[1] for row in README.splitlines() if row.startswith("| ")]
    assert any(name in re.split(r"[\s,]+", cell) for cell in table)


def test_every_status_is_there() -> None:
    raised = {
        found.status
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.HireflowError)
    }
    for status in raised - {HTTPStatus.INTERNAL_SERVER_ERROR}:
        assert f"| {int(status)} |" in README


def test_every_metric_is_there_with_its_unit() -> None:
    rows = [row.split("|")[1:3] for row in README.splitlines() if row.startswith("| `")]
    told = {
        name: unit
        for names, units in rows
        for name, unit in zip(
            re.findall("`([A-Z]\\w+)`", names), itertools.cycle(units.strip().split(", ")), strict=False
        )
    }
    assert {name: told.get(name) for name in UNITS} == UNITS


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(target: str) -> None:
    assert Path(ROOT, target).exists()


def test_the_two_commands_come_first() -> None:
    first = README.split("```")[1]
    assert [line.split("#")[0].strip() for line in first.splitlines()[1:]] == ["make demo", "make test"]


@pytest.mark.parametrize(
    ("command", "sets"),
    [
        ("`make up`", ("local", "postgres")),
        ("`./hireflow`", ("local",)),
        ("`make deploy`", ("aws",)),
        ("`make test`", ("develop", "postgres")),
    ],
)
def test_the_numbers_of_packages_are_those_of_the_locks(command: str, sets: tuple[str, ...]) -> None:
    """On Linux, where the others were measured. A package that two sets of an environment name is there once."""
    here = {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux"}
    here |= {"platform_machine": "x86_64", "platform_system": "Linux", "implementation_name": "cpython"}

    def packages(names: tuple[str, ...]) -> int:
        text = "\n".join((ROOT / "requirements" / f"{name}.txt").read_text() for name in names)
        found = [Requirement(line.strip()) for line in re.findall(r"^(\w[^\\\n]*==[^\\\n]*)", text, re.MULTILINE)]
        return len({each.name for each in found if each.marker is None or each.marker.evaluate(here)})

    [told] = re.findall(rf"^\| [^|]*{re.escape(command)}[^|]*\| (\d+) \| \d+ MB", README, re.MULTILINE)
    assert int(told) == packages(sets) + (packages(("ministack",)) if "postgres" in sets else 0)
