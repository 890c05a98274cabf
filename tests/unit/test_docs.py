"""Tests that the documentation agrees with the code. Everything that a page names must exist in the code, and the pages
must describe everything that exists."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import typer.main
from botocore import xform_name
from packaging.requirements import Requirement

from app import app
from chalicelib.core.datasets import DATASETS
from cli.app import app as cli
from infra.settings.declaration import COMPUTED, OF_USERS, OTHERS
from infra.venv import ROOT
from tests import pages
from tests.pages import PAGES, PAPERS, README
from tests.unit.test_structure import MAY_IMPORT

SHELL = [(page, block) for page in PAGES for block in pages.blocks(page) if block.language == "sh"]
ON_AWS = [
    line
    for _, block in SHELL
    if block.mark == "aws-only"
    for line in block.text.replace("\\\n", " ").splitlines()
    if re.search(r"\baws ", line)
]
NO_OPERATION = {("cloudformation", "deploy")}  # commands that only the AWS CLI has; AWS has no such operation
GLOBAL_OPTIONS = {"query", "output"}
API, FILES, COMMANDS, SETTINGS, ARCHITECTURE = (
    f"docs/{name}.md" for name in ("api", "files", "commands", "settings", "architecture")
)
WRITTEN_BY_COMMANDS = {"bench/results.json"}
FIRST_FREE_ID = 9001  # the rows of the demo have smaller ids, in all datasets
STAGE_FOLDERS = re.compile(r"\.local")


# --- pages, blocks and links


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len(pages.text(README).splitlines()) <= 197 + len(DATASETS)  # a table has a line for each dataset
    first = pages.blocks(README)[0].text
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page: str) -> None:
    """tests/e2e/test_examples.py runs the blocks with commands. A block that it does not run must have a mark with the
    reason."""
    assert pages.text(page).count("```") == 2 * len(pages.blocks(page)), "the tests do not find every block"
    assert "~~~" not in pages.text(page)
    for block in pages.blocks(page):
        assert block.language in ("sh", "json", "text"), f"the language {block.language!r}: write sh for commands"
        known = block.mark in ("", "aws-only") or pages.NOT_RUN.fullmatch(block.mark)
        assert block.language == "sh" or not block.mark
        assert known, f"unknown mark {block.mark!r}"


@pytest.mark.parametrize(("page", "link"), [(page, link) for page in PAPERS for link in pages.links(page)])
def test_links_and_anchors_resolve(page: str, link: str) -> None:
    file, anchor = pages.target_of(page, link)
    assert file.is_relative_to(ROOT)
    assert file.exists()
    assert not anchor or anchor in pages.anchors(file.read_text())


def test_every_page_is_linked_from_the_readme() -> None:
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= {*pages.links(README)}


def test_every_picture_is_shown_on_a_page() -> None:
    shown = {pages.target_of(page, link)[0] for page in PAGES for link in pages.links(page)}
    pictures = {path for path in (ROOT / "docs").iterdir() if path.suffix in (".svg", ".png")}
    assert pictures <= shown


@pytest.mark.parametrize("drawing", ["flow.svg", "row.svg", "restore.svg"])
def test_a_drawing_has_dark_colours_and_names_modules_that_exist(drawing: str) -> None:
    svg = (ROOT / "docs" / drawing).read_text()
    assert "@media (prefers-color-scheme: dark)" in svg
    assert 'role="img"' in svg
    named = [name for label in re.findall(r'class="code">([^<]+)<', svg) for name in label.split(", ")]
    for name in named:
        if name != "as for a file":
            assert (ROOT / "chalicelib" / f"{name}.py").exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    spans = re.findall(r"`([\w./*-]+/[\w./*-]*)`", pages.prose(page))
    ours = [span for span in spans if (ROOT / span.split("/")[0]).is_dir() and not STAGE_FOLDERS.match(span)]
    missing = [span for span in ours if not (list(ROOT.glob(span)) or span in WRITTEN_BY_COMMANDS)]
    assert missing == []


@pytest.mark.parametrize(("page", "block"), [(page, block) for page, block in SHELL if block.runs])
def test_examples_leave_the_rows_of_the_demo_alone(page: str, block: pages.Block) -> None:
    in_json = re.findall(r'"(?:\w+_)?id": "?(\d+)', block.text)
    in_csv = [number for csv in re.findall(r"(?:printf|\$)\s?'([^']*)'", block.text) for number in _ids_of_csv(csv)]
    assert [number for number in (*in_json, *in_csv) if int(number) < FIRST_FREE_ID] == []


def _ids_of_csv(csv: str) -> list[str]:
    return [found[0] for line in csv.split("\\n") if (found := re.match(r"\d+", line))]


# --- commands


def make_targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


def commands_of_hireflow() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {sub}": of_group for sub, of_group in inner.items()} if inner else {name: command}
        if name == "report":
            found[name] = command
    return found


def test_the_commands_of_make_are_described() -> None:
    rows = re.findall(r"^\| `make ([a-z-]+)` \|", pages.text(COMMANDS), re.MULTILINE)
    assert sorted(rows) == sorted({*make_targets()} - {"help"})


@pytest.mark.parametrize("page", PAPERS)
def test_every_command_of_make_that_is_named_exists(page: str) -> None:
    code = [*pages.names(pages.prose(page)), *(block.text for block in pages.blocks(page) if block.language == "sh")]
    named = [name for span in code for name in re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)", span.replace("\n", " ; "))]
    assert {*named} <= {*re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)}


def test_the_commands_of_hireflow_and_their_options_are_described() -> None:
    row = r"^\| `\./hireflow ([a-z]+(?: (?:new|list|revoke))?)[^`|]*` \|(.*)\|$"
    described = dict(re.findall(row, pages.text(COMMANDS), re.MULTILINE))
    known = commands_of_hireflow()
    assert described.keys() == {name for name in known if not name.startswith("report ")}
    for name, about in described.items():
        options = {option for command in _family(name, known) for option in _options(command)}
        named = {*re.findall(r"`(--[a-z-]+)", about)}
        assert named <= options, name
        assert {option for option in options if option.startswith("--")} <= named | {"--help", "--json"}, name


def _family(name: str, known: dict[str, Any]) -> list[Any]:
    return [command for other, command in known.items() if other == name or other.startswith(f"{name} ")]


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("page", PAPERS)
def test_every_command_of_hireflow_that_is_named_exists(page: str) -> None:
    named = {name.split()[0] for name in commands_of_hireflow()}
    used = re.findall(r"\./hireflow ([a-z]+)", pages.text(page))
    assert {*used} <= named


@pytest.mark.parametrize("line", ON_AWS)
def test_the_aws_commands_in_the_pages_exist(line: str) -> None:
    """Compare a command of the AWS CLI with the description of its service in botocore."""
    command = re.sub(r"^\w+=\$\((.*)\)$", r"\1", line.strip())
    aws, service, operation, *words = shlex.split(command)
    assert aws == "aws"
    if (service, operation) in NO_OPERATION:
        return
    session = botocore.session.get_session()
    model = session.get_service_model(service)
    if operation == "wait":
        waiters = session.get_waiter_model(service)
        known_waiters = {xform_name(name, "-"): name for name in waiters.waiter_names}
        waiter, *words = words
        assert waiter in known_waiters
        operation = xform_name(waiters.get_waiter(known_waiters[waiter]).operation, "-")
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations
    shape = model.operation_model(operations[operation]).input_shape
    known = {xform_name(name, "-") for name in (shape.members if shape else ())} | GLOBAL_OPTIONS
    assert {word.removeprefix("--").removeprefix("no-") for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES)
def test_a_section_with_aws_only_commands_says_so(page: str) -> None:
    before = pages.text(page).split("```sh aws-only")[:-1]
    assert all(re.search(r"[oO]n AWS", part.rpartition("\n#")[2]) for part in before)


# --- settings, tree, packages and dependencies


def test_every_setting_that_is_named_exists() -> None:
    known = {each.name for each in (*OF_USERS, *COMPUTED)} | {*OTHERS}
    named = {name for page in PAGES for name in re.findall(r"\bHIREFLOW_[A-Z_]*[A-Z]\b", pages.text(page))}
    assert named <= known


def test_every_setting_is_described() -> None:
    described = pages.names("\n".join(row[0] for row in pages.table(SETTINGS, "setting", "default")))
    variables = pages.names("\n".join(row[0] for row in pages.table(SETTINGS, "variable")))
    assert described == [each.name for each in OF_USERS]
    assert variables == [each.name for each in COMPUTED]


def tree() -> list[str]:
    [block] = [block for block in pages.blocks(ARCHITECTURE) if block.language == "text"]
    return [line.split()[0] for line in block.text.splitlines()]


def test_every_entry_of_the_tree_exists() -> None:
    assert [entry for entry in tree() if not (ROOT / entry).exists()] == []


def test_the_tree_shows_every_folder() -> None:
    """The tree must show all folders at the top, and the packages in the larger folders."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a repository of git")
    files = [Path(name) for name in listed.stdout.splitlines()]
    top = {file.parts[0] + "/" * (len(file.parts) > 1) for file in files}
    packages = {f"{file.parent}/" for file in files if file.name == "__init__.py"}
    inner = {f"{folder}/" for folder in {Path(package).as_posix() for package in packages} if folder.count("/") >= 1}
    shown = {*tree()}
    assert {entry for entry in top if entry not in shown and not _shown_below(entry, shown)} == set()
    assert {entry for entry in inner if entry not in shown and not entry.startswith("tests/")} == set()
    assert {entry for entry in inner if entry.startswith("tests/") and entry.count("/") == 2} - shown == set()


def _shown_below(entry: str, shown: set[str]) -> bool:
    return any(other.startswith(entry) for other in shown)


def test_the_table_of_packages_agrees_with_the_imports() -> None:
    rows = {pages.names(name)[0]: {*pages.names(cell)} for name, cell in pages.table(ARCHITECTURE, "package")}
    assert rows == MAY_IMPORT
    assert list(rows) == list(MAY_IMPORT)


def dependencies() -> set[str]:
    inputs = [ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.in")]
    lines = "\n".join(path.read_text() for path in inputs)
    return set(re.findall(r"^([a-z0-9_-]+)(?:\[.*\])?==", lines, re.MULTILINE | re.IGNORECASE))


def test_every_dependency_has_its_reason() -> None:
    listed = [name for row in pages.table(ARCHITECTURE, "dependency") for name in re.split(r",\s*", row[0])]
    assert sorted(listed) == sorted(dependencies())


@pytest.mark.parametrize(
    ("command", "sets"),
    [
        ("`make up`", ("local", "postgres")),
        ("`./hireflow`", ("local",)),
        ("`make deploy`", ("deploy",)),
        ("`make test`", ("develop", "postgres")),
    ],
)
def test_the_numbers_of_packages_are_those_of_the_locks(command: str, sets: tuple[str, ...]) -> None:
    """The numbers are those of Linux, like the measured numbers in the same table. A package counts once, even if two
    sets of packages in an environment contain it."""
    here = {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux"}
    here |= {"platform_machine": "x86_64", "platform_system": "Linux", "implementation_name": "cpython"}

    def packages(names: tuple[str, ...]) -> int:
        text = "\n".join((ROOT / "requirements" / f"{name}.txt").read_text() for name in names)
        locked = [Requirement(line.strip()) for line in re.findall(r"^(\w[^\\\n]*==[^\\\n]*)", text, re.MULTILINE)]
        return len({each.name for each in locked if each.marker is None or each.marker.evaluate(here)})

    [said] = [row[1] for row in pages.table(COMMANDS, "command", "packages") if command in row[0]]
    assert int(said) == packages(sets) + (packages(("ministack",)) if "postgres" in sets else 0)


# --- routes


def routes() -> Iterator[tuple[str, str]]:
    for path, methods in app.routes.items():
        yield from ((method, path) for method in methods)


def test_the_routes_are_described() -> None:
    in_tables = [line for line in pages.text(API).splitlines() if line.startswith("|")]
    described = re.findall(r"`(GET|HEAD|POST|PUT|PATCH|DELETE) (/[^`?\s]*)`", "\n".join(in_tables))
    assert sorted({*described}) == sorted(routes())


@pytest.mark.parametrize("page", PAGES)
def test_every_route_that_is_named_exists(page: str) -> None:
    named = re.findall(r"`(GET|HEAD|POST|PUT|PATCH|DELETE) (/[^`?\s]*)", pages.text(page))
    assert [each for each in named if each not in {*routes()}] == []
