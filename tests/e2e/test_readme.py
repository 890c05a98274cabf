"""The README's examples, pasted into a shell."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.venv import ROOT
from tests.e2e.cloud import Cloud, until

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
EXAMPLES = [block for block in BLOCKS if "make demo" not in block]

# On a stage that asks for one, every example takes the token that the README speaks of.
WITH_TOKEN = """curl() {
    case "${API_TOKEN:+$*}" in
        *"$API_URL"*Authorization*) command curl "$@" ;;
        *"$API_URL"*) command curl -H "Authorization: Bearer $API_TOKEN" "$@" ;;
        *) command curl "$@" ;;
    esac
}
"""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the README's examples want curl")


def test_the_examples_work_as_pasted(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / ".local").symlink_to(cloud.commands.state.folder)
    (tmp_path / "hireflow").symlink_to(ROOT / "hireflow")
    stage = f"HIREFLOW_STATE_DIR={cloud.commands.state.folder} STAGE={cloud.commands.stage}"
    (tmp_path / "Makefile").write_text(  # of the stage under test
        f"backup:\n\t@echo {cloud.backup()}\ntoken tokens revoke:\n\t@{stage} $(MAKE) -s -C {ROOT} $@\n"
        f"redrive:\n\t@echo {cloud.redrive()['left']} left\n"
    )
    pasted = f"set -eu\ncd {tmp_path}\n{WITH_TOKEN}" + "\n".join(_marked(block) for block in EXAMPLES)
    done = subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    responses = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]
    assert len(responses) == sum(line.lstrip().startswith("curl") for block in EXAMPLES for line in block.splitlines())
    assert not [response for response in responses if isinstance(response, dict) and "title" in response]
    until(lambda: (102, "Maintenance") in cloud.table("departments"), "the example's file")
    quarterly, narrowed, top, over_years, top_over_years = (
        response for response in responses if isinstance(response, list)
    )
    assert quarterly == narrowed == [{"department": "Staff", "job": "Analyst", "q1": 0, "q2": 0, "q3": 1, "q4": 0}]
    assert over_years == [{"year": 2021, **quarterly[0]}]
    assert top == top_over_years == []
    assert {"years": [{"year": 2021, "hired": 1}]} in responses
    for response in responses:
        if isinstance(response, dict) and "status_url" in response:
            assert cloud.followed(response["status_url"])["status"] == "succeeded"


def _marked(block: str) -> str:
    """Every command's output on lines of its own."""
    return re.sub(r"^(?=curl|make)", "echo; ", block, flags=re.MULTILINE) + "\necho"
