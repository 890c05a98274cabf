"""python -m infra.settings: write the tables of docs/settings.md. A test fails if these tables are out of date."""

from infra import pages
from infra.settings import table


def with_tables(text: str) -> str:
    """Return the text of the page about settings with the current tables."""
    text = pages.with_table(text, "settings", table.of_users())
    return pages.with_table(text, "variables", table.of_functions())


if __name__ == "__main__":
    pages.SETTINGS.write_text(with_tables(pages.SETTINGS.read_text()))
