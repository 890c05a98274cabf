"""Tests the routes that return templates. A load accepts a template without any change."""

import base64
import os
import subprocess
import sys

import pytest
from werkzeug.test import Client as GatewayClient

from app import app
from chalicelib.api.check_routes import XLSX
from chalicelib.api.http.requests import ANY, DESCRIBING
from chalicelib.api.template_files import csv_template, xlsx_template
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.formats.xlsx import Sheet
from chalicelib.services import services
from infra.venv import ROOT
from tests.gateway import Gateway
from tests.integration.http_api import Api
from tests.integration.landing import Landing, counts


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_the_templates_of_all_datasets_are_loaded_without_any_change(api: Api, landing: Landing, ending: str) -> None:
    for dataset in DATASETS.values():  # parents come before their children
        load = landing.upload(f"{dataset.name}.{ending}", downloaded(api, dataset, ending))
        assert (load["status"], load["kind"], counts(load)) == ("succeeded", ending, (1, 1, 0, 0, 0, 0))
    assert landing.rows("SELECT id, name, datetime::text FROM hired_employees") == [
        (9001, "Ada Lund", "2021-07-27 16:02:08+00")
    ]


def downloaded(api: Api, dataset: Dataset, ending: str) -> bytes:
    media = {"csv": "text/csv", "xlsx": XLSX}[ending]
    response = api.client.http.get(f"/{dataset.route}/template.{ending}", headers={"Accept": media})
    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (200, media)
    assert response.headers["Content-Disposition"] == f'attachment; filename="{dataset.name}.{ending}"'
    return response.body


@pytest.mark.parametrize("accept", ["*/*", "text/html,*/*;q=0.8", XLSX])
def test_a_workbook_is_sent_as_bytes_whatever_the_client_accepts(api: Api, accept: str) -> None:
    response = api.client.http.get("/job/template.xlsx", headers={"Accept": accept})
    body = response.body if response.body.startswith(b"PK") else base64.b64decode(response.body)
    assert (response.status_code, body) == (200, xlsx_template(DATASETS["jobs"]))


@pytest.mark.parametrize(("accept", "is_decoded"), [(XLSX, True), ("text/html, */*", True), ("*/*", True), ("", False)])
def test_api_gateway_decodes_a_workbook_for_a_client_that_sends_an_accept(
    api: Api, accept: str, is_decoded: bool
) -> None:
    response = GatewayClient(Gateway(app)).get("/job/template.xlsx", headers={"Accept": accept} if accept else {})
    assert (response.status_code, response.data.startswith(b"PK")) == (200, is_decoded)


@pytest.mark.parametrize(("described", "is_any"), [("1", True), ("", False)])
def test_only_api_gateway_is_told_that_all_types_are_binary(described: str, is_any: bool) -> None:
    """Chalice encodes the responses of binary types, so the functions must not know this wildcard."""
    program = "import app; print(*app.app.api.binary_types)"
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, DESCRIBING: described},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ANY in told.stdout.split()) is is_any


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_a_template_has_the_header_and_one_row_in_both_formats(dataset: Dataset) -> None:
    header, row = Sheet.of(xlsx_template(dataset))
    assert header == (1, list(dataset.column_names))
    assert (row[0], len(row[1])) == (2, len(dataset.columns))
    assert csv_template(dataset).splitlines()[0].replace('"', "").split(",") == list(dataset.column_names)


def test_anybody_may_get_a_template(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services().database.close()
    services.cache_clear()
    assert api.get("/loads").status == 401
    assert api.get("/job/template.csv").status == 200


def test_the_upload_panel_links_to_all_templates(api: Api) -> None:
    panel = api.get("/dashboard/upload").body
    for dataset in DATASETS.values():
        assert f'href="{dataset.route}/template.csv" data-download="{dataset.name}.csv" data-accept="text/csv"' in panel
        assert f'href="{dataset.route}/template.xlsx" data-download="{dataset.name}.xlsx" data-accept="{XLSX}"' in panel
