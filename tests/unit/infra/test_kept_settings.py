"""The file of a stage's settings: made by us, changed by people."""

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


def test_what_is_kept_is_read_again_and_private(file: File) -> None:
    assert file.read() == {}
    file.keep({"HIREFLOW_AUTH": "on", "HIREFLOW_PG_PASSWORD": "a=b #c"})
    assert file.read() == {"HIREFLOW_AUTH": "on", "HIREFLOW_PG_PASSWORD": "a=b #c"}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.path.read_text().startswith(HEAD)


def test_comments_and_order_of_people_stay() -> None:
    text = "# ours\n\nLOG_LEVEL = ERROR\n# until May\nHIREFLOW_AUTH=on\nHIREFLOW_PORT=7000\n"
    new = changed(text, {"HIREFLOW_AUTH": "off", "LOG_LEVEL": "ERROR", "BACKUP_RETENTION_DAYS": "7"})
    assert new == "# ours\n\nLOG_LEVEL = ERROR\n# until May\nHIREFLOW_AUTH=off\nBACKUP_RETENTION_DAYS=7\n"


def test_nothing_is_written_where_nothing_changes(file: File) -> None:
    file.keep({})
    before = file.path.stat().st_ino
    file.keep({})
    assert file.path.stat().st_ino == before
    file.keep({"LOG_LEVEL": "DEBUG"})
    assert file.path.stat().st_ino != before


def test_every_line_that_is_wrong_is_named_without_its_value() -> None:
    with pytest.raises(CloudError) as raised:
        parse("LOG_LEVEL=INFO\nHIREFLOW_PG_PASSWORD s3cret\nLOG_LEVEL=DEBUG\n", "file")
    assert str(raised.value) == (
        "nothing was changed: file: line 2 is not NAME=VALUE, line 3 names LOG_LEVEL again: "
        "correct the file, or go back to all defaults with RESET=ALL"
    )


def test_a_file_that_is_no_text_is_said_to_be_so(file: File) -> None:
    file.path.write_bytes(b"\xff\xfe")
    with pytest.raises(CloudError, match="is not UTF-8 text"):
        file.read()


@pytest.mark.parametrize(
    "text", ["\ufeff# ours\nLOG_LEVEL=DEBUG\n", "# ours\r\nLOG_LEVEL=DEBUG\r\n", "LOG_LEVEL=DEBUG"]
)
def test_editors_of_other_systems_may_write_it(file: File, text: str) -> None:
    file.path.write_bytes(text.encode())
    assert file.read() == {"LOG_LEVEL": "DEBUG"}
    file.keep({"LOG_LEVEL": "ERROR"})
    assert file.path.read_bytes() == (b"# ours\n" if "ours" in text else b"") + b"LOG_LEVEL=ERROR\n"


@pytest.mark.parametrize(
    "body", [b"# ours\nLOG_LEVEL DEBUG\nFOO=1\nLOG_LEVEL=A\nLOG_LEVEL=B\n", b"# ours\n\xff\xfe\0\n"]
)
def test_a_file_that_cannot_be_understood_becomes_one_that_can(file: File, body: bytes) -> None:
    file.path.write_bytes(body)
    with pytest.raises(CloudError, match="RESET=ALL"):
        file.read()
    file.keep({"LOG_LEVEL": "ERROR"})
    assert file.read() == {"LOG_LEVEL": "ERROR"}
    assert file.path.read_text().startswith("# ours\n")


@pytest.mark.parametrize("text", ["LOG_LEVEL DEBUG\n", "FOO=1\n", "LOG_LEVEL=loud\n", "LOG_LEVEL=A\nLOG_LEVEL=B\n"])
def test_reset_all_is_the_way_out_of_a_broken_file(tmp_path: Path, text: str) -> None:
    commands = Commands("local", ROOT, State(tmp_path), print, env={})
    commands.state.settings_file.write_text(text)
    with pytest.raises(CloudError, match="RESET=ALL"):
        commands.settings()
    assert commands.settings(["ALL"]).to_keep() == {}


def test_the_file_is_utf_8_whatever_the_locale_says(file: File) -> None:
    kept = {"HIREFLOW_PG_PASSWORD": "für"}
    run = "import sys; from pathlib import Path; from infra.settings.kept import File; File(Path(sys.argv[1])).keep("
    told = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", f"{run}{kept!a})", str(file.path)], check=True, env=told, cwd=ROOT)
    assert file.read() == kept
