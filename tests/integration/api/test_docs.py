"""Tests the page that shows the OpenAPI document: which files the page loads, where these files come from, and how
long a browser keeps the files."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from chalicelib.api import docs_routes
from tests.integration.http_api import Api, Response

PLACES = ["https://host/api/docs", "https://host/_aws/execute-api/abc/api/docs"]


class Page(HTMLParser):
    """Parses a page, and collects its addresses and its inline scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.addresses += [v or "" for name, v in attrs if name in ("href", "src", "data-document")]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style") and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


@pytest.fixture
def page(api: Api) -> Response:
    return api.get("/docs")


def test_every_file_of_the_page_exists_wherever_the_api_is_served(api: Api, page: Response) -> None:
    found = Page(page.body)
    loaded = [address for address in found.addresses if not address.startswith("data:")]
    assert len(loaded) >= 5
    for place in PLACES:
        for shown, html in ((place, page.body), (f"{place}/", api.get("/docs/").body)):
            for address in Page(html).addresses:
                if not address.startswith("data:"):
                    absolute = urlsplit(urljoin(shown, address))
                    root = urlsplit(urljoin(place, ".")).path
                    assert absolute.netloc == "host"
                    assert absolute.path.startswith(root)
                    assert api.get(f"/{absolute.path.removeprefix(root)}?{absolute.query}").status == 200


def test_the_policy_allows_files_of_the_same_origin_only_and_nothing_inline(page: Response) -> None:
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert policy["img-src"] == "'self' data:"
    assert Page(page.body).inline == []
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_only_an_address_with_the_version_is_cached_for_good(api: Api) -> None:
    for name, asset in docs_routes.ASSETS.items():
        kept, unnamed, other = (api.get(f"/docs/{name}{v}") for v in (f"?v={asset.version}", "", "?v=0"))
        assert kept.body == unnamed.body == other.body == asset.text
        assert "immutable" in kept.headers["Cache-Control"]
        assert unnamed.headers["Cache-Control"] == other.headers["Cache-Control"] == "no-cache"
        assert kept.headers["X-Content-Type-Options"] == "nosniff"
        assert kept.headers["Content-Type"].startswith("text/javascript" if name.endswith(".js") else "text/css")


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{name}" for name in docs_routes.ASSETS)])
def test_a_file_that_the_browser_has_is_not_sent_again(api: Api, path: str) -> None:
    tag = api.get(path).headers["ETag"]
    again = api.send("GET", path, headers={"If-None-Match": tag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, None, tag)
    assert api.send("GET", path, headers={"If-None-Match": '"other"'}).status == 200


@pytest.mark.parametrize("name", ["LICENSE", "docs.html", "docs.py", "swagger-ui-bundle.js.map", "..%2fdocs.py", "%2e"])
def test_other_files_are_not_served(api: Api, name: str) -> None:
    assert api.get(f"/docs/{name}").status == 404


def test_the_version_of_swagger_ui_supports_openapi_3_1() -> None:
    bundle = docs_routes.ASSETS["swagger-ui-bundle.js"].text
    [version] = {found.split('"')[1] for found in bundle.split("PACKAGE_VERSION:")[1:] if found.startswith('"')}
    assert int(version.partition(".")[0]) >= 5  # version 5 is the first that shows OpenAPI 3.1
