"""Handles GET /<dataset>/template.csv and GET /<dataset>/template.xlsx.

These routes need no token, like the description of the API: a template has the names of the columns and an example,
but no stored rows.
"""

from collections.abc import Callable

from chalice.app import Blueprint, Response

from chalicelib.api.check_routes import CSV, XLSX
from chalicelib.api.http.access import public
from chalicelib.api.http.negotiation import BytesResponse, TextResponse
from chalicelib.api.http.problems import endpoint
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS

routes = Blueprint(__name__)


def _headers(dataset: Dataset, media: str, ending: str) -> dict[str, str | list[str]]:
    attached = f'attachment; filename="{dataset.name}{ending}"'
    return {"Content-Type": media, "Content-Disposition": attached}


def _csv(dataset: Dataset) -> Callable[[], Response]:
    @public
    @endpoint
    def csv_template() -> Response:
        from chalicelib.api import template_files  # here, because other routes do not need the description of the API

        return TextResponse(template_files.csv_template(dataset), _headers(dataset, f"{CSV}; charset=utf-8", ".csv"))

    return csv_template


def _xlsx(dataset: Dataset) -> Callable[[], Response]:
    @public
    @endpoint
    def xlsx_template() -> Response:
        from chalicelib.api import template_files

        return BytesResponse(template_files.xlsx_template(dataset), _headers(dataset, XLSX, ".xlsx"))

    return xlsx_template


for _dataset in DATASETS.values():
    for _ending, _view in ((".csv", _csv), (".xlsx", _xlsx)):
        routes.route(
            f"/{_dataset.route}/template{_ending}",
            name=f"template_{_dataset.route}_{_ending[1:]}",
            content_types=["*/*"],
        )(_view(_dataset))
