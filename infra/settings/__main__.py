"""python -m infra.settings: write the tables of settings into the README. A test says when this is due."""

from infra.readme import README, with_table
from infra.settings import table


def with_tables(text: str) -> str:
    """The text with the tables of now between their marks."""
    text = with_table(text, "settings", table.of_users())
    return with_table(text, "variables", table.of_functions())


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
