"""Checks after a storm that each restore point is sound, and that all rows can be restored."""

import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import fastavro

from chalicelib.core.datasets import DATASETS
from tests.faults.model import Stored
from tests.faults.stage import Stage
from tests.tables import TABLES

Violations = Iterator[str]
_ROUTES = {name: dataset.route for name, dataset in DATASETS.items()}


class Points:
    """The restore points of a stage. Each of their files is read only once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.rows = cache(self._rows)

    def _rows(self, point: str, dataset: str) -> list[Stored]:
        """Read the rows of a dataset from a restore point."""
        key = f"backups/{point}/{dataset}.avro"
        file = self._stage.cloud.s3.get_object(Bucket=self._stage.cloud.env["BACKUP_BUCKET"], Key=key)
        records: Any = fastavro.reader(io.BytesIO(file["Body"].read()))
        return [tuple(record.values()) for record in records]

    def faults(self) -> Violations:
        """Yield the faults that `make verify-backups ALL=1` finds. Also yield the rows whose parents are missing in the
        same restore point."""
        point: str | None = None
        while True:
            report = self._stage.commands.invoke_scheduled("verify", {"restore_point": point})
            point = str(report["restore_point"])
            tables = [f"{name}: {fault}" for name, table in report["tables"].items() for fault in table["faults"]]
            yield from (f"restore point {point}: {fault}" for fault in (*report["faults"], *tables))
            if not tables:
                yield from self._orphans(point)
            if (point := report["older"]) is None:
                return

    def _orphans(self, point: str) -> Violations:
        departments, jobs = ({row[0] for row in self.rows(point, name)} for name in ("departments", "jobs"))
        for row in self.rows(point, "hired_employees"):
            if row[3] not in departments or row[4] not in jobs:
                yield f"restore point {point} holds {row} without a parent"

    def restore_everything(self) -> Violations:
        """Make a backup, empty the tables, and restore every row. This must be the last check, because it changes the
        tables."""
        cloud = self._stage.cloud
        before, point = {name: cloud.table(name) for name in DATASETS}, cloud.backup()
        cloud.sql(f"TRUNCATE {TABLES}, orphans CASCADE")
        for name, route in _ROUTES.items():
            load = cloud.restore(route, point)
            if load["status"] != "succeeded" or cloud.table(name) != before[name]:
                yield f"{name} was not restored from {point}: {load}"
