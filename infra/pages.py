"""Write tables that are made from declarations into pages of the documentation, each between two marks of its own."""

import re

from infra.venv import ROOT

API, SETTINGS = ROOT / "docs/api.md", ROOT / "docs/settings.md"


def with_table(text: str, name: str, table: str) -> str:
    """Return the text of a page with this table between its marks. Raises ValueError if the page has no such marks."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    parts = re.fullmatch(f"(.*{re.escape(begin)}).*({re.escape(end)}.*)", text, re.DOTALL)
    if parts is None:
        raise ValueError(f"the page has no place for the table of {name}")
    return f"{parts[1]}{table}\n{parts[2]}"
