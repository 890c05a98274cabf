"""Tests that the new route `GET /datasets` responds to clients that may read."""

from chalicelib.core.datasets import DATASETS
from tests.integration.api.test_access import guarded, token
from tests.integration.http_api import Api
from tests.openapi import described

__all__ = ["guarded"]  # pytest needs this imported fixture


def test_the_route_returns_the_datasets(api: Api) -> None:
    response = api.get("/datasets")
    assert response.status == 200
    assert {"name": "jobs", "columns": ["id", "job"]} in response.body["datasets"]
    assert [each["name"] for each in response.body["datasets"]] == list(DATASETS)


def test_the_route_refuses_unknown_parameters(api: Api) -> None:
    assert api.get("/datasets?page=2").status == 422


def test_the_route_requires_a_token_of_a_reader(guarded: Api) -> None:
    assert guarded.get("/datasets").status == 401
    reader = {"Authorization": f"Bearer {token('reader')}"}
    assert guarded.send("GET", "/datasets", headers=reader).status == 200


def test_the_openapi_document_describes_the_route() -> None:
    assert described().document["paths"]["/datasets"]["get"]["x-role"] == "reader"
