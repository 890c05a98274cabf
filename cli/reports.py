"""What a command needs to know of a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """`title` and `about` are its help, `path` where the API has it.

    It `takes_year` after its path, a `takes_range` of years in its query, both, or no years at all. Columns named in
    `texts` give way where a table is too wide. JSON is a list of rows, or an object with it as its only `member`.
    """

    name: str
    title: str
    about: str
    path: str
    takes_year: bool
    takes_range: bool
    takes_department: bool
    texts: tuple[str, ...]
    member: str
