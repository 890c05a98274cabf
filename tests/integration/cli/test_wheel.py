"""Tests the command line after an installation from its wheel, without a checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

from cli.version import version
from infra.venv import ROOT
from tests.integration.fake_api import FakeApi, fake_api

Done = subprocess.CompletedProcess[str]
# The wheel requires the libraries in LIBRARIES. Those libraries require the libraries in THEIRS. No other library may
# be installed.
LIBRARIES = {"typer", "rich", "urllib3"}
THEIRS = {"annotated-doc", "markdown-it-py", "mdurl", "pygments", "shellingham", "pydantic", "pydantic-core"}
THEIRS |= {"annotated-types", "typing-extensions", "typing-inspection"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True, capture_output=True)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program `hireflow` in a new environment that has only the wheel and its requirements.

    The requirements are copied from the environment of the tests, so that no network is needed.
    """
    home = tmp_path_factory.mktemp("empty")
    venv.EnvBuilder(symlinks=True).create(home)
    python = str(home / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--quiet", str(wheel)], check=True, capture_output=True)
    [site] = home.glob("lib/*/site-packages")
    for name in closure(LIBRARIES):
        for file in metadata.files(name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), site / file)
    return home / "bin" / "hireflow"


def closure(names: Iterable[str]) -> set[str]:
    """Return the names of these distributions, and of all distributions that they require on this platform."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= set(requirements(metadata.requires(name) or ())) - found
    return found


def requirements(lines: Iterable[str]) -> Iterator[str]:
    """Yield the names of the distributions that these requirement lines need on this platform, without extras."""
    for line in lines:
        wanted, _, marker = line.partition(";")
        if "extra" not in marker and "Windows" not in marker:
            yield re.split(r"[^A-Za-z0-9._-]", wanted.strip())[0].lower()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as fake:
        yield fake


def run(program: Path, folder: Path, *words: str, **environ: str) -> Done:
    """Run the program in a folder. It gets only the given environment variables, PATH, HOME and LANG."""
    own = {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8", **environ}
    return subprocess.run([program, *words], cwd=folder, env=own, capture_output=True, text=True, check=False)


def test_the_wheel_holds_only_the_command_line(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"cli", f"hireflow-{version()}.dist-info"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "cli").rglob("*.py")}
    assert {name for name in names if name.startswith("cli/")} == modules


def test_the_wheel_requires_only_three_libraries_and_theirs(program: Path) -> None:
    [site] = program.parents[1].glob("lib/*/site-packages")
    [about] = site.glob("hireflow-*.dist-info")
    required = metadata.PathDistribution(about).requires or []
    assert set(requirements(required)) == LIBRARIES
    assert [line for line in required if "extra" in line] == ['boto3>=1.34 ; extra == "aws"']
    assert closure(LIBRARIES) <= LIBRARIES | THEIRS
    check = [sys.executable, "-m", "pip", "--python", str(program.with_name("python")), "check"]
    assert subprocess.run(check, capture_output=True, text=True, check=False).returncode == 0


def test_the_installed_program_prints_its_version_and_its_help(program: Path, tmp_path: Path) -> None:
    assert run(program, tmp_path, "--version").stdout == f"hireflow {version()}\n"
    assert "Upload files and follow their loads." in run(program, tmp_path, "--help").stdout


def test_the_installed_program_needs_only_an_address_and_a_token(program: Path, api: FakeApi, tmp_path: Path) -> None:
    api.on("GET", "/loads", {"loads": [], "next_cursor": None})
    done = run(program, tmp_path, "loads", "--json", API_URL=api.url, API_TOKEN="hf_x")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, [], "")
    assert api.asked[0].headers["Authorization"] == "Bearer hf_x"
    assert api.asked[0].headers["User-Agent"] == f"hireflow/{version()}"


def test_the_installed_program_uploads_files(program: Path, api: FakeApi, tmp_path: Path) -> None:
    order = {"load_id": 7, "status_url": "/loads/7", "url": f"{api.url}/landing", "fields": {"key": "k"}}
    api.on("POST", "/uploads", order, 201)
    api.on("POST", "/landing", b"", 204)
    (tmp_path / "jobs.csv").write_text("1,Clerk\n")
    done = run(program, tmp_path, "upload", "jobs.csv", "--no-wait", API_URL=api.url)
    assert (done.returncode, done.stdout) == (0, "jobs.csv: load 7 queued\n")
    assert api.to("/landing")[0].form[-1] == ("file", "jobs.csv", b"1,Clerk\n")


def test_without_an_address_the_error_names_the_variables_to_set(program: Path, tmp_path: Path) -> None:
    done = run(program, tmp_path, "loads")
    assert (done.returncode, done.stderr) == (2, "error: no API is known: set API_URL (and API_TOKEN)\n")


@pytest.mark.parametrize("words", [("logs",), ("token", "list"), ("backup",)])
def test_commands_that_need_boto3_say_how_to_install_it(program: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(program, tmp_path, *words, STAGE="prod")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: this command needs boto3, which is not installed: run `pipx inject hireflow boto3`,"
        " or `pipx install '.[aws]'` in a checkout\n"
    )
