"""Adds the figures to a restore point that the dashboard shows."""

from datetime import UTC, datetime, timedelta

from chalicelib.backups.manifest import RestorePoint
from chalicelib.core import restore_point_names
from chalicelib.core.datasets import DATASETS


class PointView(RestorePoint):
    """A restore point with the additional figures that a template shows."""

    @property
    def age(self) -> timedelta:
        return datetime.now(UTC) - self.created_at

    @property
    def is_ahead(self) -> bool:
        return restore_point_names.is_ahead(self.restore_point)

    @property
    def bytes(self) -> int:
        return sum(table.bytes for table in self.tables.values())

    @property
    def unknown_tables(self) -> list[str]:
        """The tables that this release does not have, because a later release has made the restore point."""
        return [name for name in self.tables if name not in DATASETS]
