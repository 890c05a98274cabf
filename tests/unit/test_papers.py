"""Tests that LICENSE, SECURITY.md, CONTRIBUTING.md and CHANGELOG.md agree with the project and with each other."""

import re
import tomllib
from datetime import date

import pytest

from chalicelib.core.product_version import product_version
from cli.version import version
from infra.venv import ROOT
from tests import pages
from tests.openapi import described

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAPERS = {name: (ROOT / name).read_text() for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
TESTS = sorted(set(re.findall(r"tests/[\w/.]*\w", PAPERS["SECURITY.md"] + PAPERS["CONTRIBUTING.md"])))
LINKS = [(name, link) for name, text in PAPERS.items() for link in re.findall(r"\]\(([^)]+)\)", text)]
RELEASE = re.compile(r"^## \[?(\d+\.\d+\.\d+)\]? - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
# The headings that keepachangelog.com defines.
CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_license_is_named_where_tools_look_for_it() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License\n\nCopyright (c) 2026 The Hireflow authors\n")
    assert (PROJECT["license"], PROJECT["license-files"]) == ("MIT", ["LICENSE"])


def test_every_part_names_the_version_of_the_project() -> None:
    assert version() == product_version() == described().document["info"]["version"] == PROJECT["version"]


def test_no_other_file_of_the_product_declares_the_version() -> None:
    literal = re.compile(rf"(?<![\d.`]){re.escape(PROJECT['version'])}(?![\d.`])")  # not the example in a docstring
    folders = ("chalicelib", "cli", "infra", ".chalice")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.*") if path.suffix in (".py", ".json")]
    files += [ROOT / name for name in ("Makefile", "app.py", "hireflow", "README.md")]
    assert [str(path) for path in files if literal.search(path.read_text())] == []


def test_no_fence_has_words_that_markdown_does_not_allow() -> None:
    """Markdown takes a fence of backticks for text if a backtick follows in the same line."""
    texts = {name: (ROOT / name).read_text() for name in pages.PAPERS}
    broken = [line for text in texts.values() for line in text.splitlines() if re.match(r" *```[^`\n]+`", line)]
    assert broken == []


def test_the_newest_release_in_the_changelog_is_the_version_of_the_project() -> None:
    releases = RELEASE.findall(PAPERS["CHANGELOG.md"])
    assert releases[0][0] == PROJECT["version"]
    days = [date.fromisoformat(day) for _, day in releases]
    assert days == sorted(days, reverse=True)


def test_the_changelog_begins_with_what_is_not_released_and_groups_its_changes() -> None:
    titles = re.findall(r"^## (.+)$", PAPERS["CHANGELOG.md"], re.MULTILINE)
    assert titles[0] in ("[Unreleased]", "Unreleased")
    assert all(RELEASE.fullmatch(f"## {title}") for title in titles[1:])
    assert set(re.findall(r"^### (.+)$", PAPERS["CHANGELOG.md"], re.MULTILINE)) <= CHANGES


@pytest.mark.parametrize("named", TESTS)
def test_every_test_that_these_files_name_exists(named: str) -> None:
    assert (ROOT / named).exists()


def test_every_threat_names_the_tests_that_show_its_protection() -> None:
    _, _, model = PAPERS["SECURITY.md"].partition("\n## Threat model\n")
    sections = re.split(r"^### ", model, flags=re.MULTILINE)[1:]
    assert len(sections) >= 8
    for section in sections:
        title = section.splitlines()[0]
        assert re.search(r"tests/\w", section), title
        assert "**Not protected**" in section, title


@pytest.mark.parametrize(("paper", "link"), LINKS)
def test_the_file_and_the_section_of_a_link_exist(paper: str, link: str) -> None:
    file, _, section = link.partition("#")
    if file.startswith("https:"):
        return
    target = ROOT / file if file else ROOT / paper
    assert target.exists()
    titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if section else []
    assert not section or section in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`make ([a-z-]+)", PAPERS["CONTRIBUTING.md"]))))
def test_every_make_command_in_contributing_md_exists(command: str) -> None:
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
