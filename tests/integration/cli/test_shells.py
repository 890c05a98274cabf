"""Tests shell completion, the help texts, and what happens if the output cannot be written."""

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
    """Return the completions that the program offers a shell for a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    typed = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    printed = hireflow(_HIREFLOW_COMPLETE=f"complete_{shell}", **(words if shell == "bash" else typed))
    return re.findall(r"^[a-z_-]+", printed.replace("_arguments '*: :((", "").replace('"', ""), re.MULTILINE)


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(shell: str) -> None:
    assert {"load", "loads"} <= set(asked(shell, "hireflow loa")) <= {"load", "loads"}


@pytest.mark.parametrize(
    ("line", "expected"),
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
def test_values_and_options_are_completed(line: str, expected: list[str]) -> None:
    assert asked("bash", line) == expected


FULL = Path("/dev/full")  # on Linux, every write to this file fails with ENOSPC (disk full)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["open"], ["upload", "--help"]])
def test_a_full_disk_at_the_output_is_one_line(words: list[str], buffered: bool) -> None:
    environ = {**os.environ, "API_URL": "http://127.0.0.1:1", "PYTHONUNBUFFERED": "" if buffered else "1"}
    with FULL.open("w") as output:
        done = subprocess.run(
            [ROOT / "hireflow", *words], env=environ, stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device: free some space, then run the same command again\n"


def test_a_command_with_closed_standard_output_reports_its_own_error(tmp_path: Path) -> None:
    environ = {**os.environ, "API_URL": "", "HIREFLOW_STATE_DIR": str(tmp_path)}
    command = ["sh", "-c", '"$0" loads >&-', str(ROOT / "hireflow")]
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: no API is known")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_installed_completion_script_is_valid_in_its_shell(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    shown = hireflow("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_HIREFLOW_COMPLETE" in shown
    said = hireflow("--install-completion", shell, HOME=str(tmp_path), _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    [installed] = re.findall(r"installed in (\S+)", said)
    assert shown.strip() in Path(installed).read_text()
    if program is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([program, "-n", installed], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
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
def test_help_shows_no_python_types_and_fits_80_columns(words: tuple[str, ...]) -> None:
    printed = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, "--help"]).stdout
    assert not re.search(r"<|list\[|\bPath\b|\bstr\b|\bint\b|x[<>]=", printed)
    assert "..." not in re.sub(r"[A-Z]\]?\.\.\.", "", printed)  # "…" would show that a summary is truncated
    assert max(map(len, printed.splitlines())) <= 80


def test_help_lists_the_exit_statuses_one_a_line() -> None:
    printed = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["--help"]).stdout
    _, _, after = printed.partition("  Exit statuses:\n")
    section, _, _ = after.partition("\n\n")
    assert [line.split()[0] for line in section.splitlines() if re.match(r" {4}[0-9]", line)] == ["0", "1", "2", "130"]
    assert "    2    wrong usage, or a missing setting\n" in section


@pytest.mark.parametrize("words", [["--version"], ["--version", "loads"]])
def test_the_version_is_the_one_in_pyproject(words: list[str]) -> None:
    [declared] = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert hireflow(*words) == f"hireflow {declared}\n"
    assert version() == declared
