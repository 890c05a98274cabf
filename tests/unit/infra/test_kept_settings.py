"""The file of a stage's settings: made by us, changed by people."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import CloudError
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
    assert str(raised.value) == "nothing was changed: file: line 2 is not NAME=VALUE, line 3 names LOG_LEVEL again"


def test_a_file_that_is_no_text_is_said_to_be_so(file: File) -> None:
    file.path.write_bytes(b"\xff\xfe")
    with pytest.raises(CloudError, match="is not UTF-8 text"):
        file.read()


def test_the_file_is_utf_8_whatever_the_locale_says(file: File) -> None:
    kept = {"HIREFLOW_PG_PASSWORD": "für"}
    run = "import sys; from pathlib import Path; from infra.settings.kept import File; File(Path(sys.argv[1])).keep("
    told = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", f"{run}{kept!a})", str(file.path)], check=True, env=told, cwd=ROOT)
    assert file.read() == kept
