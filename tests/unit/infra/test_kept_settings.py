"""Tests the file with the settings of a stage. Commands change this file, and people edit it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import CloudError
from infra.local.commands import Commands
from infra.local.state import State
from infra.settings.kept import HEAD, File, changed, parse
from infra.venv import ROOT


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "settings")


def test_kept_settings_are_read_again_from_a_private_file(file: File) -> None:
    assert file.read() == {}
    file.keep({"HIREFLOW_AUTH": "on", "HIREFLOW_PG_PASSWORD": "a=b #c"})
    assert file.read() == {"HIREFLOW_AUTH": "on", "HIREFLOW_PG_PASSWORD": "a=b #c"}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.path.read_text().startswith(HEAD)


def test_comments_and_the_order_of_lines_stay() -> None:
    text = "# ours\n\nLOG_LEVEL = ERROR\n# until May\nHIREFLOW_AUTH=on\nHIREFLOW_PORT=7000\n"
    new = changed(text, {"HIREFLOW_AUTH": "off", "LOG_LEVEL": "ERROR", "BACKUP_RETENTION_DAYS": "7"})
    assert new == "# ours\n\nLOG_LEVEL = ERROR\n# until May\nHIREFLOW_AUTH=off\nBACKUP_RETENTION_DAYS=7\n"


def test_the_file_is_not_written_if_nothing_changes(file: File) -> None:
    file.keep({})
    before = file.path.stat().st_ino
    file.keep({})
    assert file.path.stat().st_ino == before
    file.keep({"LOG_LEVEL": "DEBUG"})
    assert file.path.stat().st_ino != before


def test_the_error_names_every_wrong_line_without_its_value() -> None:
    with pytest.raises(CloudError) as raised:
        parse("LOG_LEVEL=INFO\nHIREFLOW_PG_PASSWORD s3cret\nLOG_LEVEL=DEBUG\n", "file")
    assert str(raised.value) == (
        "nothing was changed: file: line 2 is not NAME=VALUE, line 3 names LOG_LEVEL again: "
        "correct the file, or go back to all defaults with RESET=ALL"
    )


def test_a_file_that_is_not_text_is_refused(file: File) -> None:
    file.path.write_bytes(b"\xff\xfe")
    with pytest.raises(CloudError, match="is not UTF-8 text"):
        file.read()


@pytest.mark.parametrize(
    "text", ["\ufeff# ours\nLOG_LEVEL=DEBUG\n", "# ours\r\nLOG_LEVEL=DEBUG\r\n", "LOG_LEVEL=DEBUG"]
)
def test_byte_order_marks_and_other_line_endings_are_accepted(file: File, text: str) -> None:
    file.path.write_bytes(text.encode())
    assert file.read() == {"LOG_LEVEL": "DEBUG"}
    file.keep({"LOG_LEVEL": "ERROR"})
    assert file.path.read_bytes() == (b"# ours\n" if "ours" in text else b"") + b"LOG_LEVEL=ERROR\n"


@pytest.mark.parametrize(
    "body", [b"# ours\nLOG_LEVEL DEBUG\nFOO=1\nLOG_LEVEL=A\nLOG_LEVEL=B\n", b"# ours\n\xff\xfe\0\n"]
)
def test_keeping_settings_repairs_a_broken_file(file: File, body: bytes) -> None:
    file.path.write_bytes(body)
    with pytest.raises(CloudError, match="RESET=ALL"):
        file.read()
    file.keep({"LOG_LEVEL": "ERROR"})
    assert file.read() == {"LOG_LEVEL": "ERROR"}
    assert file.path.read_text().startswith("# ours\n")


@pytest.mark.parametrize("text", ["LOG_LEVEL DEBUG\n", "FOO=1\n", "LOG_LEVEL=loud\n", "LOG_LEVEL=A\nLOG_LEVEL=B\n"])
def test_reset_all_works_with_a_broken_file(tmp_path: Path, text: str) -> None:
    commands = Commands("local", ROOT, State(tmp_path), print, env={})
    commands.state.settings_file.write_text(text)
    with pytest.raises(CloudError, match="RESET=ALL"):
        commands.settings()
    assert commands.settings(["ALL"]).to_keep() == {}


def test_the_file_is_utf_8_in_every_locale(file: File) -> None:
    kept = {"HIREFLOW_PG_PASSWORD": "für"}
    run = "import sys; from pathlib import Path; from infra.settings.kept import File; File(Path(sys.argv[1])).keep("
    environ = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", f"{run}{kept!a})", str(file.path)], check=True, env=environ, cwd=ROOT)
    assert file.read() == kept
