"""python -m infra.settings: write the tables of settings into the README. A test says when this is due."""

import re

from infra.settings import table
from infra.venv import ROOT

README = ROOT / "README.md"
_TABLES = {"settings": table.of_users, "variables": table.of_functions}


def with_tables(text: str) -> str:
    """The text with the tables of now between their marks."""
    for name, made in _TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        parts = re.fullmatch(f"(.*{re.escape(begin)}).*({re.escape(end)}.*)", text, re.DOTALL)
        if parts is None:
            raise ValueError(f"the README has no place for the table of {name}")
        text = parts[1] + made() + parts[2]
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
