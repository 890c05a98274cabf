"""Tables that are made from declarations and written into the README, each between two marks of its own."""

import re

from infra.venv import ROOT

README = ROOT / "README.md"


def with_table(text: str, name: str, table: str) -> str:
    """The text with this table between its marks. Raises ValueError if the text has no such marks."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    parts = re.fullmatch(f"(.*{re.escape(begin)}).*({re.escape(end)}.*)", text, re.DOTALL)
    if parts is None:
        raise ValueError(f"the README has no place for the table of {name}")
    return parts[1] + table + parts[2]
