"""The README's pictures of the dashboard, and of what they were taken."""

from hashlib import sha256
from pathlib import Path

from infra.venv import ROOT

DOCS = ROOT / "docs"
PICTURES = ("dashboard-reports.png", "dashboard-load.png")
RECORD = DOCS / "dashboard.sha256"  # of the dashboard when they were taken
_DASHBOARD = ROOT / "chalicelib" / "dashboard"


def digest() -> str:
    """Of all that makes up the dashboard's looks."""
    found = sha256()
    for path in sorted(p for p in _DASHBOARD.rglob("*") if p.suffix in (".html", ".css")):
        found.update(path.relative_to(_DASHBOARD).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def record(folder: Path) -> None:
    (folder / RECORD.name).write_text(digest() + "\n")
