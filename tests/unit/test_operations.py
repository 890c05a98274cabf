"""docs/operations.md: links lead somewhere, and what is for AWS alone is what AWS describes."""

import re
import shlex

import botocore.session
import pytest
from botocore import xform_name

from infra.venv import ROOT

TEXT = (ROOT / "docs/operations.md").read_text()
BLOCKS: list[str] = re.findall(r"^```sh aws-only\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
ON_AWS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
NO_OPERATION = {("cloudformation", "deploy")}  # the command line's own
ABOUT_ALL = {"query", "output"}


@pytest.mark.parametrize("line", [line for line in ON_AWS if "aws " in line])
def test_what_is_asked_of_aws_is_there(line: str) -> None:
    command = re.sub(r"^\w+=\$\((.*)\)$", r"\1", line.strip())
    aws, service, operation, *words = shlex.split(command)
    assert aws == "aws"
    if (service, operation) in NO_OPERATION:
        return
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations
    shape = model.operation_model(operations[operation]).input_shape
    known = {xform_name(name, "-") for name in (shape.members if shape else ())}
    assert {word.removeprefix("--").removeprefix("no-") for word in words if word.startswith("--")} <= known | ABOUT_ALL


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    file, _, section = link.partition("#")
    text = (ROOT / "docs" / file).read_text() if file else TEXT
    titles = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}
    assert not section or section in titles


def test_what_is_for_aws_alone_is_called_so() -> None:
    before = TEXT.split("```sh aws-only")[:-1]
    assert all("nly on AWS" in part.rpartition("\n#")[2] for part in before)
