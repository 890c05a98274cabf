"""Each limit is declared once, and the texts that repeat it agree with the declaration."""

import json
import re

from chalicelib.api.http.requests import MAX_BODY
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.formats.gzip_stream import MAX_RATIO, MAX_UNPACKED
from chalicelib.ingest.upload_forms import MAX_SIZE
from chalicelib.reports import queries
from infra.venv import ROOT
from tests.openapi import described

README = (ROOT / "README.md").read_text()


def test_the_document_names_the_limits() -> None:
    document = json.dumps(described().document)
    assert set(re.findall(r"(?:a body of more than|at most) ([\d.]+) MB", document)) == {str(MAX_BODY / 1e6)}
    assert set(re.findall(r"(?:up to|at most) (\d+) (?:rows|at once)", document)) == {str(MAX_ROWS)}


def test_the_readme_names_the_limits() -> None:
    assert f"up to {MAX_BODY / 1e6} MB:" in README
    assert f"straight to S3: up to {MAX_SIZE // 1024**3} GB," in README
    assert f"a form to send a CSV file of up to {MAX_SIZE // 1024**3} GB with" in README
    assert f"more than {MAX_RATIO} times its size" in README
    assert f"more than {MAX_UNPACKED // 1024**3} GiB, is refused" in README
    assert f"A batch takes 1 to {MAX_ROWS} rows;" in README
    assert f"/hired_employee/upload/batch` | 1 to {MAX_ROWS} rows |" in README
    assert f"A body has at most {MAX_BODY / 1e6} MB:" in README
    assert f"| 413 | a batch of more than {MAX_ROWS} rows, or a body of more than {MAX_BODY / 1e6} MB;" in README


def test_the_notes_on_scaling_name_the_limit_of_reports() -> None:
    assert f"| {queries.MAX_ANSWER // 10**6} MB of answer: 422" in (ROOT / "docs/scaling.md").read_text()
