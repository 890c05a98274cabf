"""Declares what the command line has to know about a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """One report. `title` and `about` are the help text of its command, and `path` is its route.

    If it `takes_year`, a year may follow the path. If it `takes_range`, the query may hold `from` and `to`. The columns
    in `texts` are wrapped if a table is too wide. The JSON response is a list of rows, or an object whose only member
    `member` is this list.
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
