"""Tests that the texts which name a limit agree with the declaration of the limit in the code."""

import json
import re

from chalicelib.api.http.requests import MAX_BODY
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.core.answer_size import MAX_ANSWER
from chalicelib.formats.gzip_stream import MAX_RATIO, MAX_UNPACKED
from chalicelib.ingest.upload_forms import MAX_SIZE
from infra.venv import ROOT
from tests.openapi import described

API, FILES, README = (
    re.sub(r"\s+", " ", (ROOT / name).read_text()) for name in ("docs/api.md", "docs/files.md", "README.md")
)


def test_the_openapi_document_names_the_limits() -> None:
    document = json.dumps(described().document)
    assert set(re.findall(r"(?:a body of more than|at most) ([\d.]+) MB", document)) == {str(MAX_BODY / 1e6)}
    assert set(re.findall(r"(?:up to|at most) (\d+) (?:rows|at once)", document)) == {str(MAX_ROWS)}


def test_the_pages_of_the_documentation_name_the_limits() -> None:
    mb, gb = f"{MAX_BODY / 1e6} MB", f"{MAX_SIZE // 1024**3} GB"
    assert f"A body has at most {mb}." in API
    assert f"`application/octet-stream`. It has at most {mb}." in API
    assert f"| 413 | The batch has more than {MAX_ROWS} rows, or the body has more than {mb};" in API
    assert f"a form to send a file of up to {gb} straight to S3" in API
    assert f"so a file may have up to {gb}." in API
    assert f"`POST /hired_employee/upload/batch` | stores 1 to {MAX_ROWS} rows |" in API
    assert f"A batch takes 1 to {MAX_ROWS} rows." in API
    assert f"up to {MAX_ROWS} rows in a batch." in README
    assert f"A report of more than {MAX_ANSWER // 10**6} MB is refused" in API
    assert f"more than {MAX_RATIO} times its size" in FILES
    assert f"more than {MAX_UNPACKED // 1024**3} GiB, is refused" in FILES


def test_the_notes_on_scaling_name_the_limit_of_reports() -> None:
    assert f"a report of more than {MAX_ANSWER // 10**6} MB gets 422" in (ROOT / "docs/scaling.md").read_text()
