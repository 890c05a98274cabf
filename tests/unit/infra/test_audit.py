"""Tests what the audit concludes from the output of pip-audit."""

import json

import pytest

from infra.audit import Verdict, read
from infra.errors import CloudError

SOUND = {"name": "six", "version": "1.17.0", "vulns": []}
FLAWED = {
    "name": "mako",
    "version": "1.0.0",
    "vulns": [
        {"id": "PYSEC-2022-260", "fix_versions": ["1.2.2"], "aliases": ["CVE-2022-40023"], "description": "…"},
        {"id": "PYSEC-0000-1", "fix_versions": [], "aliases": [], "description": "…"},
    ],
}
UNKNOWN = {"name": "alembic", "skip_reason": "Dependency not found on PyPI"}


def test_a_vulnerability_is_reported_with_the_fixed_versions() -> None:
    verdict = read(json.dumps({"dependencies": [SOUND, FLAWED, UNKNOWN], "fixes": []}), "Found 2 known vulnerabilities")
    assert verdict == Verdict(
        ("mako 1.0.0: PYSEC-2022-260, fixed in 1.2.2", "mako 1.0.0: PYSEC-0000-1, fixed in no version"), ("alembic",), 3
    )


@pytest.mark.parametrize(
    "last",
    [
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='…'): Max retries exceeded",
        "requests.exceptions.ProxyError: HTTPSConnectionPool(host='…')",
        "pip_audit._service.interface.ConnectionError: Could not connect to PyPI's vulnerability feed",
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed",
    ],
)
def test_an_unreachable_service_is_not_a_failure(last: str) -> None:
    assert read("", f"Traceback (most recent call last):\n  …\n{last}\n") is None


@pytest.mark.parametrize("stderr", ["ERROR:pip_audit._cli:package boto3 has duplicate requirements", ""])
@pytest.mark.parametrize("stdout", ["", "{}", "[]", '{"dependencies": 5}'])
def test_any_other_output_is_a_failure(stdout: str, stderr: str) -> None:
    with pytest.raises(CloudError, match="pip-audit failed"):
        read(stdout, stderr)
