"""A load as the dashboard shows it."""

from datetime import UTC, datetime

from chalicelib.loads import outcomes
from chalicelib.loads.history import Load

_LEAST_SECONDS = 0.05  # a shorter load shows no rate, because the rate would be meaningless


class LoadView(Load):
    """A load with the figures that a template shows."""

    @property
    def is_unfinished(self) -> bool:
        return self.status in outcomes.UNFINISHED

    @property
    def name(self) -> str:
        return self.source.rpartition("/")[2] if self.kind != "api" else "API request"

    @property
    def seconds(self) -> float | None:
        """The duration of the load, up to now if it is running."""
        until = datetime.now(UTC) if self.status == "running" else self.finished_at
        return (until - self.started_at).total_seconds() if self.started_at and until else None

    @property
    def rate(self) -> float | None:
        """Rows per second; None if no row or too little time has passed."""
        seconds = self.seconds
        return self.received / seconds if seconds and seconds >= _LEAST_SECONDS and self.received else None
