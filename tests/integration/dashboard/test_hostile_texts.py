"""Tests that texts from users cannot change the order in which the dashboard is shown: direction marks are visible, and
every such text is isolated from the text around it."""

import unicodedata
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from tests.integration.http_api import Api
from tests.integration.landing import Landing

MARKS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # the bidirectional classes of direction marks
DIRECTIONLESS = "\u200e\u200f\u061c"  # further direction marks; letters have the same classes
EVIL = "evil\u202e\u2066\u200f\u0645"  # every text from a user contains this text; it ends in an Arabic letter
SHOWN = "evil[U+202E][U+2066][U+200F]\u0645"
ISOLATING = ("bdi", "option", "text", "title")  # browsers isolate the text of these elements


class Texts(HTMLParser):
    """Collects the texts of a page with the elements in which they stand, the innermost last."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("input", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.found.append((data, [*self._open]))


def marks(text: str) -> set[str]:
    return {char for char in text if unicodedata.bidirectional(char) in MARKS or char in DIRECTIONLESS}


@pytest.fixture
def load_id(api: Api, landing: Landing) -> int:
    """Load hostile texts into all datasets. Return the load whose file has a rejected row."""
    landing.upload("departments.csv", f"1,{EVIL}\n")
    landing.upload("jobs.csv", f"1,{EVIL}\n")
    header, row = f"id,name,datetime,department_id,job_id,{EVIL}", "2021-07-27,1,1,x"
    load = landing.upload(f"hired_employees_{EVIL}.csv", f"{header}\n1,Ada,{row}\n{EVIL},Bo,{row}\n")
    return int(load["id"])


@pytest.mark.parametrize("panel", ["reports", "loads", "load?id={}"])
def test_texts_of_users_are_isolated_and_have_visible_marks(api: Api, load_id: int, panel: str) -> None:
    html = api.get(f"/dashboard/{panel.format(load_id)}").body
    assert marks(html) == set()
    hostile = [(text, path) for text, path in Texts(html).found if "evil" in text]
    assert any(SHOWN in text for text, _ in hostile)
    assert [(text, path[-1]) for text, path in hostile if path[-1] not in ISOLATING] == []


def test_the_error_of_a_load_and_the_text_of_a_search_are_shown_in_the_same_way(api: Api, landing: Landing) -> None:
    failed = landing.upload(f"jobs_{EVIL}.csv", f"id,{EVIL}\n1,Clerk\n")
    assert "evil" in failed["error"]
    html = api.get(f"/dashboard/load?id={failed['id']}").body
    assert marks(html) == set()
    assert all(path[-1] == "bdi" for text, path in Texts(html).found if "evil" in text)
    # The field keeps the text as it was typed, because the next search must find the same loads.
    searched = api.get("/dashboard/loads?source=evil%E2%80%AE").body
    assert 'value="evil\u202e"' in searched
    assert f'data-load="{failed["id"]}"' in searched


def test_the_file_of_rejects_has_a_name_without_direction_marks(api: Api, load_id: int) -> None:
    response = api.send("GET", f"/loads/{load_id}/rejects", headers={"Accept": "text/csv"})
    name = unquote(response.headers["Content-Disposition"].partition("UTF-8''")[2])
    assert name == "hired_employees_evil___\u0645-rejects.csv"
    assert f'data-download="{name}"' in api.get(f"/dashboard/load?id={load_id}").body
