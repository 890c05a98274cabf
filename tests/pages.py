"""Reads the pages of the documentation for tests: their blocks, links, anchors, and rows of tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.venv import ROOT

README = "README.md"
PAGES = (README, *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")))
# The files whose links are tested.
PAPERS = (*PAGES, *sorted(path.name for path in ROOT.glob("*.md") if path.name != README))
NOT_RUN = re.compile(r'not-run="[^"]{10,}"')
_FENCE = re.compile(r"^```(?P<info>[^`\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is the text after the language in the first line of the block."""

    language: str
    mark: str
    text: str

    @property
    def runs(self) -> bool:
        """Return whether a test runs the block unchanged."""
        return self.language == "sh" and not self.mark


def text(page: str) -> str:
    """Return the text of a page, by its path from the root of the repository."""
    return (ROOT / page).read_text()


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = _FENCE.finditer(text(page))
    return [Block(*_language_and_mark(match["info"]), match["text"]) for match in found]


def prose(page: str) -> str:
    """Return the text of a page without its fenced blocks."""
    return _FENCE.sub("", text(page))


def links(page: str) -> list[str]:
    """Return the targets of all links and pictures within the repository."""
    return [target for target in _LINK.findall(prose(page)) if "://" not in target]


def target_of(page: str, link: str) -> tuple[Path, str]:
    """Return the file that a link leads to, and the anchor in this file. The anchor is empty if the link has none."""
    file, _, anchor = link.partition("#")
    return ((ROOT / page).parent / file if file else ROOT / page).resolve(), anchor


def anchors(markdown: str) -> set[str]:
    """Return the anchors of the headings, as GitHub derives them from the text."""
    without_blocks = _FENCE.sub("", markdown)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(without_blocks)}


def table(page: str, *header: str) -> list[list[str]]:
    """Find the table whose header begins with these cells. Return its rows. Each row is a list of its cells."""
    lines = iter(text(page).splitlines())
    tables = [list(_rows(lines)) for line in lines if _cells(line)[: len(header)] == [*header]]
    assert len(tables) == 1, f"{page} has {len(tables)} tables with the header {header}"
    return tables[0]


def names(cell: str) -> list[str]:
    """Return the texts between backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def _rows(lines: Iterator[str]) -> Iterator[list[str]]:
    next(lines)  # the second line of a table has only dashes
    for line in lines:
        if not line.lstrip().startswith("|"):
            return
        yield _cells(line)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []


def _language_and_mark(info: str) -> tuple[str, str]:
    language, _, mark = info.strip().partition(" ")
    return language, mark.strip()
