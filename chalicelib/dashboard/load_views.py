"""A load as a person reads it."""

from datetime import UTC, datetime

from chalicelib.loads import outcomes
from chalicelib.loads.history import Load

_LEAST_SECONDS = 0.05  # of less than that no rate can be told


class LoadView(Load):
    """A load with what a reader wants to know first."""

    @property
    def is_unfinished(self) -> bool:
        return self.status in outcomes.UNFINISHED

    @property
    def name(self) -> str:
        return self.source.rpartition("/")[2] if self.kind != "api" else "API request"

    @property
    def seconds(self) -> float | None:
        """How long it took, or has taken so far."""
        until = datetime.now(UTC) if self.status == "running" else self.finished_at
        return (until - self.started_at).total_seconds() if self.started_at and until else None

    @property
    def rate(self) -> float | None:
        """Rows a second."""
        seconds = self.seconds
        return self.received / seconds if seconds and seconds >= _LEAST_SECONDS and self.received else None
