"""Lists all schemas of the document by name, except the schemas of problems."""

from collections.abc import Iterable

from chalicelib.api.openapi import load_schemas, service_schemas, upload_schemas
from chalicelib.api.openapi.json_schema import Json
from chalicelib.api.openapi.report_schemas import report_schemas
from chalicelib.core.datasets import DATASETS
from chalicelib.reports.declaration import Report


def components(reports: Iterable[Report]) -> dict[str, Json]:
    """Return the schemas of rows, loads, restore points, health and these reports, by name."""
    names = {upload_schemas.row_name(dataset): dataset for dataset in DATASETS.values()}
    return {
        **{name: upload_schemas.row(dataset) for name, dataset in names.items()},
        **{f"{name}Batch": upload_schemas.batch(dataset) for name, dataset in names.items()},
        "Inserted": upload_schemas.uploaded("inserted"),
        "Kept": upload_schemas.uploaded("updated", "unchanged"),
        "BatchResult": upload_schemas.BATCH,
        "Rejected": upload_schemas.REJECTED,
        "UploadOrder": upload_schemas.UPLOAD_ORDER,
        "UploadOrdered": upload_schemas.UPLOAD_ORDERED,
        "RestoreOrder": service_schemas.RESTORE_ORDER,
        "RestoreOrdered": service_schemas.ORDERED,
        **report_schemas(reports),
        "Load": load_schemas.LOAD,
        "Loads": load_schemas.LOADS,
        "LoadWithReasons": load_schemas.LOAD_WITH_REASONS,
        "Check": load_schemas.CHECK,
        "Reject": load_schemas.REJECT,
        "Rejects": load_schemas.REJECTS,
        "Backups": service_schemas.BACKUPS,
        "Health": service_schemas.HEALTH,
    }
