"""Tests the documentation page of the API. API Gateway and the deployed function serve this page to users without a
token."""

import re
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import pytest

from chalicelib.api.http import vendored
from chalicelib.core.settings import LOCALSTACK
from chalicelib.formats.xlsx import Sheet
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


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "image/png"])
def test_a_template_is_a_workbook_for_every_client_that_sends_an_accept(cloud: Cloud, accept: str) -> None:
    if cloud.commands.stage == LOCALSTACK and accept != "image/png":
        pytest.skip("the API Gateway of LocalStack ignores the binary media type */*, and sends Base64")
    request = Request(f"{cloud.env['API_URL']}/job/template.xlsx", headers={"Accept": accept})
    with urlopen(request, timeout=30) as response:
        assert next(iter(Sheet.of(response.read()))) == (1, ["id", "job"])
