"""Tests the documentation page of the API. API Gateway and the deployed function serve this page to users without a
token."""

import re
from urllib.parse import urljoin
from urllib.request import urlopen

from chalicelib.api.http import vendored
from tests.e2e.cloud import Cloud


def test_the_page_and_all_its_files_are_served(cloud: Cloud) -> None:
    place = f"{cloud.env['API_URL']}/docs"
    with urlopen(place, timeout=30) as response:
        page = response.read().decode()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    served: dict[str, bytes] = {}
    for address in re.findall(r'(?:src|href|data-document)="([^":]+)"', page):
        with urlopen(urljoin(place, address), timeout=30) as response:
            served[address.partition("?")[0]] = response.read()
            assert address == "openapi.json" or "immutable" in response.headers["Cache-Control"]
    assert len(served) == 5
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert served[f"docs/{name}"] == vendored.located(f"{vendored.SWAGGER_UI}/dist/{name}").read_bytes()
