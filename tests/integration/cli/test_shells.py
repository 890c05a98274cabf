"""Completion as shells ask for it, and help."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli.app import app
from cli.version import version
from infra.venv import ROOT

SHELLS = ("bash", "zsh", "fish")


def hireflow(*words: str, **environ: str) -> str:
    done = subprocess.run(
        [ROOT / "hireflow", *words], env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(shell: str, line: str) -> list[str]:
    """What a shell is told that a line may go on with."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    typed = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    told = hireflow(_HIREFLOW_COMPLETE=f"complete_{shell}", **(words if shell == "bash" else typed))
    return re.findall(r"^[a-z_-]+", told.replace("_arguments '*: :((", "").replace('"', ""), re.MULTILINE)


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(shell: str) -> None:
    assert {"load", "loads"} <= set(asked(shell, "hireflow loa")) <= {"load", "loads"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("hireflow upload --dataset hired", ["hired_employees"]),
        ("hireflow loads --status su", ["succeeded"]),
        ("hireflow restore a", ["all"]),
        ("hireflow token new op", ["operator"]),
        ("hireflow logs --function in", ["ingest"]),
        ("hireflow report q", ["quarterly"]),
        ("hireflow upload --no", ["--no-wait"]),
    ],
)
def test_values_and_options_are_completed(line: str, told: list[str]) -> None:
    assert asked("bash", line) == told


FULL = Path("/dev/full")  # Linux's: nothing can be written there


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["open"], ["upload", "--help"]])
def test_an_output_that_cannot_be_written_is_one_line(words: list[str], buffered: bool) -> None:
    environ = {**os.environ, "API_URL": "http://127.0.0.1:1", "PYTHONUNBUFFERED": "" if buffered else "1"}
    with FULL.open("w") as output:
        done = subprocess.run(
            [ROOT / "hireflow", *words], env=environ, stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device: free some space, then run the same command again\n"


def test_a_closed_output_is_no_defect(tmp_path: Path) -> None:
    environ = {**os.environ, "API_URL": "", "HIREFLOW_STATE_DIR": str(tmp_path)}
    command = ["sh", "-c", '"$0" loads >&-', str(ROOT / "hireflow")]
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: no API is known")


@pytest.mark.parametrize("shell", SHELLS)
def test_what_completion_installs_is_what_the_shell_takes(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    shown = hireflow("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_HIREFLOW_COMPLETE" in shown
    said = hireflow("--install-completion", shell, HOME=str(tmp_path), _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    [installed] = re.findall(r"installed in (\S+)", said)
    assert shown.strip() in Path(installed).read_text()
    if program is None:
        pytest.skip(f"there is no {shell} here to read it with")
    subprocess.run([program, "-n", installed], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_the_script_of_a_checkout(tmp_path: Path) -> None:
    script = tmp_path / "completion.sh"
    script.write_text(hireflow("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"))
    typed = "COMP_WORDS=(./hireflow rej); COMP_CWORD=1; _hireflow_completion ./hireflow; echo ${COMPREPLY[*]}"
    done = subprocess.run(["bash", "-c", f". {script}; {typed}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("rejects\n", "")


def every_help() -> list[tuple[str, ...]]:
    command = get_command(app)
    groups = command.commands  # type: ignore[attr-defined]
    below = [(name, inner) for name, group in groups.items() for inner in getattr(group, "commands", ())]
    return [(), *((name,) for name in groups), *below]


@pytest.mark.parametrize("words", every_help(), ids=" ".join)
def test_help_speaks_the_users_language(words: tuple[str, ...]) -> None:
    told = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, "--help"]).stdout
    assert not re.search(r"<|list\[|\bPath\b|\bstr\b|\bint\b|x[<>]=", told)
    assert "..." not in re.sub(r"[A-Z]\]?\.\.\.", "", told)  # a summary that is cut
    assert max(map(len, told.splitlines())) <= 80


def test_help_tells_the_exit_statuses() -> None:
    told = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    assert "Exit status: 0 success; 1 failure" in told
    assert "2 wrong use, or a setting that is missing; 130 interrupted by Ctrl-C." in told


@pytest.mark.parametrize("words", [["--version"], ["--version", "loads"]])
def test_the_version_is_that_of_the_project(words: list[str]) -> None:
    [declared] = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert hireflow(*words) == f"hireflow {declared}\n"
    assert version() == declared
