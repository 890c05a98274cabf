"""Computes a digest of the dashboard. It shows whether the README's screenshots of the dashboard are up to date."""

from hashlib import sha256
from pathlib import Path

from infra.venv import ROOT

DOCS = ROOT / "docs"
PICTURES = ("dashboard-reports.png", "dashboard-load.png")
RECORD = DOCS / "dashboard.sha256"  # this file has the digest of the dashboard at the time of the screenshots
_TEMPLATES = ("page", "_parts", "reports", "load", "_rejects")
_SHOWN = ("assets/page.css", *(f"templates/{name}.html" for name in _TEMPLATES))
_DASHBOARD = ROOT / "chalicelib" / "dashboard"


def digest() -> str:
    """Return the SHA-256 (hex) of all files of the dashboard that affect the screenshots."""
    hashed = sha256()
    for name in _SHOWN:
        hashed.update(name.encode() + b"\0" + (_DASHBOARD / name).read_bytes() + b"\0")
    return hashed.hexdigest()


def record(folder: Path) -> None:
    """Write the current digest into a file in this folder."""
    (folder / RECORD.name).write_text(digest() + "\n")
