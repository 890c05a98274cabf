"""The documentation's page as API Gateway and the deployed function serve it, to people without a token."""

import re
from urllib.parse import urljoin
from urllib.request import urlopen

from chalicelib.api.http import vendored
from tests.e2e.cloud import Cloud


def test_the_page_and_all_its_files(cloud: Cloud) -> None:
    place = f"{cloud.env['API_URL']}/docs"
    with urlopen(place, timeout=30) as answer:
        page = answer.read().decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    served: dict[str, bytes] = {}
    for address in re.findall(r'(?:src|href|data-document)="([^":]+)"', page):
        with urlopen(urljoin(place, address), timeout=30) as answer:
            served[address.partition("?")[0]] = answer.read()
            assert address == "openapi.json" or "immutable" in answer.headers["Cache-Control"]
    assert len(served) == 5
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert served[f"docs/{name}"] == vendored.located(f"{vendored.SWAGGER_UI}/dist/{name}").read_bytes()
