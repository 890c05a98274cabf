"""python -m infra.settings: write the tables of settings into the README. A test fails if they are out of date."""

from infra.readme import README, with_table
from infra.settings import table


def with_tables(text: str) -> str:
    """Return the text with the current tables between their marks."""
    text = with_table(text, "settings", table.of_users())
    return with_table(text, "variables", table.of_functions())


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
