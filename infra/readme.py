"""Write tables that are generated from declarations into the README, each between its two marks."""

import re

from infra.venv import ROOT

README = ROOT / "README.md"


def with_table(text: str, name: str, table: str) -> str:
    """Return the text with this table between its marks. Raises ValueError if the text has no such marks."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    parts = re.fullmatch(f"(.*{re.escape(begin)}).*({re.escape(end)}.*)", text, re.DOTALL)
    if parts is None:
        raise ValueError(f"the README has no place for the table of {name}")
    return parts[1] + table + parts[2]
