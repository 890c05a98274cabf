"""The README's pictures of the dashboard, and of what they were taken."""

from hashlib import sha256
from pathlib import Path

from infra.venv import ROOT

DOCS = ROOT / "docs"
PICTURES = ("dashboard-reports.png", "dashboard-load.png")
RECORD = DOCS / "dashboard.sha256"  # of the dashboard when they were taken
_TEMPLATES = ("page", "_parts", "reports", "load", "_rejects")
_SHOWN = ("assets/page.css", *(f"templates/{name}.html" for name in _TEMPLATES))
_DASHBOARD = ROOT / "chalicelib" / "dashboard"


def digest() -> str:
    """Of all that makes up what they show."""
    found = sha256()
    for name in _SHOWN:
        found.update(name.encode() + b"\0" + (_DASHBOARD / name).read_bytes() + b"\0")
    return found.hexdigest()


def record(folder: Path) -> None:
    (folder / RECORD.name).write_text(digest() + "\n")
