"""Tests that a problem of the machine ends a command with one line that says what to do. The command prints no
traceback, and leaves nothing half-done."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chalicelib.core.dataset import Column
from chalicelib.core.kinds.table import Kind
from infra import disk
from infra.commandline import DECLARATIONS, exit_status
from infra.errors import CloudError
from infra.local import status
from infra.local.__main__ import main
from infra.venv import ROOT

AS_NOBODY = """
import os, sys
from infra.local import interface
from infra.local.__main__ import main
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def failing(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CloudError("no"), 1, "error: no\n"),
        (CloudError("initdb: No space left on device"), 1, "free some space, then run the same command again\n"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "free some space, then run the same command again\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "error: /x: Permission denied: let this user"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 1, "choose another folder with HIREFLOW_STATE_DIR\n"),
        (KeyboardInterrupt(), 130, "interrupted: run the same command again to continue\n"),
        (ZeroDivisionError("by zero"), 1, "error: unforeseen ZeroDivisionError: by zero (test_failures.py:"),
    ],
)  # fmt: skip
def test_every_failure_prints_one_line(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(failing(error)) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("declarations", "line", "message"),
    [
        ("\nKind.TXT\n", 2, "type object 'Kind' has no attribute 'TXT'"),
        ("Kind.decimal(5)\n", 1, "decimal() missing 1 required positional argument: 'scale'"),
        ("\n\nColumn('note', Kind.TEXT, nullable=True)\n", 3, "Column.__init__() got an unexpected keyword argument"),
        ("\nKind.decimal((5, 2)\n", 2, "'(' was never closed"),
    ],
)
def test_a_declaration_that_python_cannot_run_is_shown_with_its_line(
    declarations: str, line: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        code = compile(declarations, str(ROOT / DECLARATIONS), "exec")
        exec(code, {"Kind": Kind, "Column": Column})

    assert exit_status(run) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: chalicelib/core/datasets.py, line {line}: {message}")
    assert err.endswith(": CONTRIBUTING.md, Declare datasets and columns, shows what may stand there\n")


def test_the_error_for_a_folder_without_write_access_has_a_remedy(tmp_path: Path) -> None:
    if os.geteuid() == 0:  # the user "nobody", who runs the command, may not write there
        tmp_path = Path("/")
    else:
        tmp_path.chmod(0o500)
    folder = tmp_path / "closed"
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "up", "--stage", "local"],
        cwd=ROOT,
        env={**os.environ, "HIREFLOW_STATE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {folder} cannot be used: Permission denied: choose another folder with HIREFLOW_STATE_DIR,"
        " or let this user write there\n"
    )


def test_the_error_for_a_folder_below_a_file_has_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HIREFLOW_STATE_DIR", str(tmp_path / "file" / "folder"))
    assert main(["up", "--stage", "local"]) == 1
    assert "Not a directory: choose another folder with HIREFLOW_STATE_DIR" in capsys.readouterr().err


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root can make a small disk")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_a_nearly_full_disk_stops_a_command_before_anything_starts(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small / "stage"
    monkeypatch.setenv("HIREFLOW_STATE_DIR", str(folder))
    assert main(["up", "--stage", "local"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {disk.TO_START} MB are needed at {folder}, and 1 are free: free some space")
    assert sorted(path.name for path in folder.iterdir()) == ["build", "hireflow.lock"]


def test_a_full_disk_is_named_if_the_program_does_not_name_it(tmp_path: Path) -> None:
    with (
        pytest.raises(CloudError, match=r"chalice deploy failed: ; the disk is full at .*: free some space"),
        disk.explained(tmp_path, lambda _: 0.5),
    ):
        raise CloudError("chalice deploy failed: ")
    with pytest.raises(CloudError, match=r"^failed$"), disk.explained(tmp_path, lambda _: 500):
        raise CloudError("failed")


@pytest.mark.parametrize(
    ("servers", "deployed", "message"),
    [
        ({"Postgres": "127.0.0.1:1", "AWS": "127.0.0.1:2"}, True, "running"),
        ({"Postgres": "127.0.0.1:1", "AWS": "127.0.0.1:2"}, False, "nothing is deployed yet: make up"),
        ({"Postgres": "127.0.0.1:1", "AWS": None}, True, "only half of the stage runs, AWS is stopped: make up"),
        ({"Postgres": None, "AWS": "127.0.0.1:2"}, True, "only half of the stage runs, Postgres is stopped: make up"),
        ({"Postgres": None, "AWS": None}, True, "not running: make up"),
    ],
)
def test_a_status_says_what_to_do(servers: dict[str, str | None], deployed: bool, message: str) -> None:
    shown = status.of(servers, {"API_URL": "http://api"} if deployed else None, "make up")
    assert shown["state"] == message
    assert shown.get("API") == (None if not deployed else "http://api" if servers["AWS"] else "stopped")


def test_before_the_first_up_every_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIREFLOW_STATE_DIR", str(tmp_path / "none"))
    for words in (["invoke", "backup"], ["verify"], ["serve"], ["check"]):
        assert main([*words, "--stage", "local"]) == 1
        assert capsys.readouterr().err == "error: nothing here yet: make up\n"
    for words in (["down"], ["clean"], ["status"]):
        assert main([*words, "--stage", "local"]) == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("infra.local up", "interrupted: run the same command again to continue\n"),
        ("infra.local serve", "interrupted: the server is stopped\n"),
        ("infra.local verify", "interrupted: run the command again to start over\n"),
        ("infra.deploy plan", "interrupted: run the same command again to continue\n"),
        ("infra.demo", "interrupted: you can run `make demo` again\n"),
    ],
)
def test_ctrl_c_prints_one_line_even_during_the_imports(command: str, line: str, tmp_path: Path) -> None:
    """The line says what the next run of this command does. The test replaces boto3 with a stub. The stub prints a line
    when its import begins, and then sleeps, so the Ctrl-C comes during the imports."""
    (tmp_path / "boto3.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "HIREFLOW_STATE_DIR": str(tmp_path / "none")}
    with subprocess.Popen(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "importing\n"
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (130, line)


PRINTING = "import sys; from infra.commandline import exit_status; sys.exit(exit_status(lambda: print('line')))"


@pytest.mark.parametrize("words", [["-c", PRINTING], ["-m", "infra.local", "status", "--stage", "local"]])
@pytest.mark.parametrize("buffered", [True, False])
def test_a_command_whose_reader_has_gone_prints_no_message(words: list[str], buffered: bool, tmp_path: Path) -> None:
    """For example, `head` in `make status | head` closes the pipe early. If Python buffers the output, the command
    notices this only at its end."""
    environ = {**os.environ, "HIREFLOW_STATE_DIR": str(tmp_path / "none"), "PYTHONUNBUFFERED": "" if buffered else "1"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environ,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
