"""The recipes of docs/operations.md, pasted into a shell."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.venv import ROOT
from tests.e2e.cloud import Cloud

TEXT = (ROOT / "docs/operations.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```sh( aws-only)?\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
HERE = [block for only, block in BLOCKS if not only]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the recipes want bash")
def test_the_recipes_work_as_pasted(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / ".local").symlink_to(cloud.commands.state.folder)
    (tmp_path / "hireflow").symlink_to(ROOT / "hireflow")
    for entry in cloud.post("/department/upload", {"department": "Staff"}), cloud.post("/job/upload", {"job": "Clerk"}):
        assert entry.status == 201
    stage = f"HIREFLOW_STATE_DIR={cloud.commands.state.folder} STAGE={cloud.commands.stage}"
    (tmp_path / "Makefile").write_text(  # of the stage under test; a backup may have to wait for the scheduled one
        f"backup:\n\t@echo {cloud.backup()}\n%:\n\t@{stage} $(MAKE) -s -C {ROOT} $@\n"
    )
    marked = (re.sub(r"^(?=\S)", "echo '---'\n", block, flags=re.MULTILINE) for block in HERE)
    pasted = f"set -eu\ncd {tmp_path}\n" + "\n".join(marked)
    done = subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = done.stdout.split("---\n")
    assert any("1 restore point verified, 0 faults" in part for part in said), done.stdout
    assert "301x" in said[-3] + said[-2], "the rejects are not shown"
