"""Writes metrics as log lines. CloudWatch extracts the metrics from these lines.

The lines are in CloudWatch's embedded metric format. To write such a line, a function sends no request, so it needs no
permission and does not wait. AWS describes the format in "Specification: Embedded metric format" of its CloudWatch
User Guide. Each dimension has only a few values, because AWS charges for every combination of values as a metric. The
ids of a load and of an invocation are therefore no dimensions. They are further fields of the line, as in every other
line of the log.

Metrics are written whatever the setting LOG_LEVEL is.
"""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from chalicelib.loads.outcomes import Ended

if TYPE_CHECKING:
    from chalicelib.backups.run import BackupRun
    from chalicelib.monitoring.gauges import Gauges  # only for types, because this import loads many other modules

NAMESPACE, SERVICE = "Hireflow", "hireflow"
UNITS = {
    "RowsReceived": "Count",
    "RowsRejected": "Count",
    "LoadSeconds": "Seconds",
    "RowsPerSecond": "Count/Second",
    "LoadsFailed": "Count",
    "BackupSeconds": "Seconds",
    "BackupRows": "Count",
    "BackupBytes": "Bytes",
    "BackupAge": "Seconds",
    "BackupLag": "Seconds",
    "DeadLetters": "Count",
    "OrphansWaiting": "Count",
    "OutboxMessages": "Count",
    "OutboxAge": "Seconds",
}
Values = Mapping[str, float | None]
_MOMENT = 0.001  # seconds; a shorter duration is rounded to 0

_log = logging.getLogger("hireflow.metrics")
_log.setLevel(logging.INFO)


class Metrics:
    """Writes the metrics of one stage."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def of_load(self, load: Ended) -> None:
        """Write the metrics of a load that has ended. A skipped load has no metrics."""
        if load.status == "skipped":
            return
        counts, seconds = load.counts, load.seconds
        worked: Values = {}
        if load.status == "succeeded" and seconds is not None:
            worked = {
                "RowsReceived": counts.received,
                "RowsRejected": counts.rejected,
                "RowsPerSecond": counts.received / max(seconds, _MOMENT),
            }
        failed = int(load.status == "failed")  # 0 is also written, to show that this load did not fail
        self._write("load", {**worked, "LoadSeconds": seconds, "LoadsFailed": failed}, dataset=load.dataset)

    def of_backup(self, run: "BackupRun") -> None:
        """Write the metrics of a backup. A backup that made no new restore point has no metrics."""
        if run.outcome != "created":
            return
        rows = sum(table.rows for table in run.tables.values())
        size = sum(table.bytes for table in run.tables.values())
        measured = {"BackupSeconds": run.seconds, "BackupRows": rows, "BackupBytes": size}
        self._write("backup", measured, restore_point=run.restore_point)

    def of_gauges(self, gauges: "Gauges") -> None:
        """Write the gauges of the stage. A gauge that could not be read is left out."""
        self._write(
            "stage",
            {
                "BackupAge": gauges.backup_age,
                "BackupLag": gauges.backup_lag,
                "DeadLetters": gauges.dead_letters,
                "OrphansWaiting": gauges.orphans,
                "OutboxMessages": gauges.unsent,
                "OutboxAge": gauges.unsent_age,
            },
        )

    def _write(self, what: str, values: Values, *, dataset: str | None = None, **properties: str | None) -> None:
        """Write one line. Every metric counts for the whole stage. If a dataset is given, the metric also counts for
        the dataset."""
        measured = {name: round(value, 3) for name, value in values.items() if value is not None}
        dimensions = {"service": SERVICE, "stage": self._stage} | ({"dataset": dataset} if dataset else {})
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [["service", "stage"], *([list(dimensions)] if dataset else [])],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in measured],
        }
        described = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
        _log.info("metrics of a %s", what, extra={"emf": described, **dimensions, **properties, **measured})
