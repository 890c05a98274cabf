"""Limits are declared once; the texts that repeat them say the same."""

import json
import re

from chalicelib.api.http.requests import MAX_BODY
from chalicelib.api.row_routes import MAX_ROWS
from infra.venv import ROOT
from tests.openapi import described

README = (ROOT / "README.md").read_text()


def test_the_document_names_them() -> None:
    document = json.dumps(described().document)
    assert set(re.findall(r"(?:a body of more than|at most) ([\d.]+) MB", document)) == {str(MAX_BODY / 1e6)}
    assert set(re.findall(r"(?:up to|at most) (\d+) (?:rows|at once)", document)) == {str(MAX_ROWS)}


def test_the_readme_names_them() -> None:
    assert f"up to {MAX_BODY / 1e6} MB:" in README
    assert f"A batch takes 1 to {MAX_ROWS} rows;" in README
    assert f"/hired_employee/upload/batch` | 1 to {MAX_ROWS} rows |" in README
    assert f"A body has at most {MAX_BODY / 1e6} MB:" in README
    assert f"| 413 | a batch of more than {MAX_ROWS} rows, or a body of more than {MAX_BODY / 1e6} MB;" in README
