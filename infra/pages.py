"""Writes generated tables into pages of the documentation. Each table stands between two comments with its name."""

import re

from infra.venv import ROOT

README, API, FILES, SETTINGS = (
    ROOT / page for page in ("README.md", "docs/api.md", "docs/files.md", "docs/settings.md")
)


def with_table(text: str, name: str, table: str) -> str:
    """Return a page's text with this table between its two comments. Raises ValueError if the page lacks them."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    parts = re.fullmatch(f"(.*{re.escape(begin)}).*({re.escape(end)}.*)", text, re.DOTALL)
    if parts is None:
        raise ValueError(f"the page lacks the comments around the table of {name}")
    return f"{parts[1]}{table}\n{parts[2]}"
