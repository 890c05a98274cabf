"""Tests the examples of the documentation. Each test pastes all examples of a page into a shell, in their order, and
runs them on the stage of the tests."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chalicelib.core.settings import LOCALSTACK
from infra import venv
from infra.install import sets
from infra.venv import ROOT
from tests import pages
from tests.e2e.cloud import Cloud, until

_SECONDS = 300  # all examples of a page together may take at most these seconds
# Texts that the examples of a page must print.
SHOWN = {
    "README.md": ["Field Service", "id is missing"],
    "docs/api.md": ["department is missing"],
    "docs/commands.md": ["department is missing"],
    "docs/operations.md": ["1 restore point verified, 0 faults", "9301x"],
}

STORED = {"README.md": ("jobs", (9002, "Welder"))}  # the example sends a file with this row straight to S3

pytestmark = pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="no bash or no curl here")


@pytest.fixture(scope="module")
def aws_cli() -> Path:
    """Install the AWS CLI. Return the folder of its program."""
    environment = sets.apart(ROOT, "awscli")
    venv.ensure([environment], print)
    return environment.python.parent


@pytest.mark.parametrize("page", [page for page in pages.PAGES if any(block.runs for block in pages.blocks(page))])
def test_the_examples_of_a_page_work_as_pasted(cloud: Cloud, aws_cli: Path, tmp_path: Path, page: str) -> None:
    if cloud.commands.stage == LOCALSTACK and page == "docs/files.md":
        pytest.skip("the API Gateway of LocalStack sends the workbook of a template as Base64")
    (tmp_path / ".local").symlink_to(cloud.commands.state.folder)
    (tmp_path / "hireflow").symlink_to(ROOT / "hireflow")
    stage = f"HIREFLOW_STATE_DIR={cloud.commands.state.folder} STAGE={cloud.commands.stage}"
    # With this Makefile, the commands of `make` in an example use the stage of the tests.
    (tmp_path / "Makefile").write_text(f"%:\n\t@{stage} $(MAKE) -s -C {ROOT} $@\n")
    examples = [block.text for block in pages.blocks(page) if block.runs]
    marked = (f"echo; echo '--- {number}'\n{example}" for number, example in enumerate(examples))
    pasted = "\n".join(["set -eu", f"cd {tmp_path}", *marked])
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:{aws_cli}", "HOME": str(tmp_path), "AWS_PAGER": ""}
    env |= {"HIREFLOW_STATE_DIR": str(cloud.commands.state.folder), "STAGE": cloud.commands.stage}
    done = subprocess.run(
        ["bash", "-c", pasted], env=env, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    cloud.backups += [point for point in cloud.restore_points() if point not in cloud.backups]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    printed = re.split(r"^--- \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(printed) == len(examples)
    for example, output in zip(examples, printed, strict=True):
        check_responses(cloud, example, output)
    if page in STORED:
        table, row = STORED[page]
        until(lambda: row in cloud.table(table), f"{row} in {table}")
    assert [text for text in SHOWN.get(page, ()) if text not in done.stdout] == [], done.stdout


def check_responses(cloud: Cloud, example: str, output: str) -> None:
    """Check that every request of an example has a response, and that no response is an error. Wait for the loads that
    the responses name, and check that these loads succeed."""
    responses = [json.loads(line) for line in output.splitlines() if line.startswith(("{", "["))]
    requests = re.findall(r"^(?:api|curl) (?!.*-o /)", example, re.MULTILINE)  # -o: the response goes to a file
    assert len(responses) >= len(requests), output
    for response in responses:
        if isinstance(response, dict):
            assert not {"title", "detail"} <= response.keys(), response
            if "status_url" in response:
                assert cloud.followed(response["status_url"])["status"] == "succeeded"
