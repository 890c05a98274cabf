"""python -m infra.audit: check with pip-audit whether a pinned package has a known vulnerability.

The audit fails if a package has a known vulnerability. If the vulnerability service cannot be reached, or does not know
a package (as a mirror of the package index may not), the audit only prints a note, because `make check` must also work
without the internet.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import CloudError
from infra.install.sets import APART, POSTGRES
from infra.venv import ROOT

# The other lock files contain no other packages, because each set in CUMULATIVE includes the sets before it.
LOCKS = ("develop", POSTGRES, *APART, "build", "uv")
_UNREACHABLE = re.compile(r"requests\.exceptions\.|ConnectionError|ServiceError|could not connect", re.IGNORECASE)
_PATIENCE = 120  # seconds that the audit of one lock file may take


@dataclass(frozen=True)
class Verdict:
    """The result for a lock file with a number of `packages`.

    `vulnerable` has one line for each vulnerability. `unknown` names the packages that the service does not know.
    """

    vulnerable: tuple[str, ...]
    unknown: tuple[str, ...]
    packages: int


def judge(report: Mapping[str, Any]) -> Verdict:
    """Read pip-audit's JSON report. Raises KeyError or TypeError if the report has another shape."""
    dependencies = report["dependencies"]
    vulnerable = [
        f"{package['name']} {package['version']}: {flaw['id']},"
        f" fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for package in dependencies
        for flaw in package.get("vulns", ())
    ]
    unknown = [package["name"] for package in dependencies if "skip_reason" in package]
    return Verdict(tuple(vulnerable), tuple(unknown), len(dependencies))


def read(stdout: str, stderr: str) -> Verdict | None:
    """Return the verdict of a run, or None if the service cannot be reached. Raises CloudError for other failures."""
    try:
        return judge(json.loads(stdout))
    except (ValueError, KeyError, TypeError):
        last = (stderr.strip().splitlines() or ["no message"])[-1]
        if _UNREACHABLE.search(last):
            return None
        raise CloudError(f"pip-audit failed: {last}") from None


def audit(file: str) -> Verdict | None:
    """Run pip-audit for a lock file. Returns None if the service could not be reached. Raises CloudError."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", file, "--no-deps", "--disable-pip"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return read(done.stdout, done.stderr)


def main() -> int:
    failed = False
    for name in LOCKS:
        file = f"requirements/{name}.txt"
        try:
            verdict = audit(file)
        except CloudError as error:
            print(f"{file}: {error}")
            failed = True
            continue
        if verdict is None:
            print(f"{file}: NOT AUDITED, the vulnerability service cannot be reached")
            continue
        for line in verdict.vulnerable:
            print(f"{file}: {line}")
        if verdict.unknown:
            count = f"{len(verdict.unknown)} of {verdict.packages} packages"
            print(f"{file}: NOT AUDITED, the vulnerability service does not know {count}")
        failed = failed or bool(verdict.vulnerable)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
