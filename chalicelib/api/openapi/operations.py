"""Lists all operations of the API, in the order of the document."""

from collections.abc import Iterable, Iterator

from chalicelib.api.openapi import load_operations, service_operations, upload_operations
from chalicelib.api.openapi.operation import Operation
from chalicelib.api.openapi.report_operations import report_operation
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.core.datasets import DATASETS
from chalicelib.reports.declaration import Report
from chalicelib.reports.hires import REPORTS

TAGS = {
    "uploads": f"Send departments, jobs and hired employees: single rows, up to {MAX_ROWS} rows at once, or files.",
    "reports": "Read reports on hires.",
    "loads": "Read the results of every file, request and restore.",
    "backups": "List restore points, and restore datasets from them.",
    "dashboard": "Open the dashboard for users.",
    "service": "Read the state of the platform, and this document.",
}


def operations(reports: Iterable[Report] = REPORTS) -> Iterator[Operation]:
    for dataset in DATASETS.values():
        yield upload_operations.upload(dataset)
        yield upload_operations.upload_batch(dataset)
        yield from upload_operations.templates(dataset)
    yield upload_operations.upload_file()
    yield upload_operations.cancel_upload()
    yield upload_operations.check()
    for report in reports:
        for span in report.variants:
            yield report_operation(report, span)
    yield from load_operations.loads()
    for dataset in DATASETS.values():
        for name in (dataset.route, dataset.name):
            yield load_operations.restore(dataset, name)
    yield from service_operations.pages()
    yield load_operations.backups()
    yield from service_operations.service()
