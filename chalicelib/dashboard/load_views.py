"""Adds the figures to a load that the dashboard shows."""

from datetime import UTC, datetime

from chalicelib.loads import outcomes
from chalicelib.loads.history import Load

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_LEAST_SECONDS = 0.05  # the rate of a shorter load is not shown, because it would be inaccurate


class LoadView(Load):
    """A load with the additional figures that a template shows."""

    @property
    def is_unfinished(self) -> bool:
        return self.status in outcomes.UNFINISHED

    @property
    def name(self) -> str:
        return self.source.rpartition("/")[2] if self.kind != "api" else "API request"

    @property
    def to_correct(self) -> int:
        """The number of rejected rows that neither wait for a parent nor were loaded later."""
        return self.rejected - self.waiting - self.resolved

    @property
    def read_as(self) -> str | None:
        """The format of the file in one line, or None if the load has no file or the file has not been read yet."""
        if self.format is None:
            return None
        parts = [self.format["type"].upper()]
        if self.format["delimiter"] is not None:
            parts.append(f"separated by {_DELIMITERS[self.format['delimiter']]}")
        if self.format["encoding"] is not None:
            parts.append(f"in {self.format['encoding'].upper()}")
        parts.append("with a header" if self.format["header"] else "without a header")
        if self.format["ignored_columns"]:
            parts.append(f"ignored columns: {', '.join(self.format['ignored_columns'])}")
        return ", ".join(parts)

    @property
    def seconds(self) -> float | None:
        """Return the duration of the load, or the time since its start if it is running."""
        until = datetime.now(UTC) if self.status == "running" else self.finished_at
        return (until - self.started_at).total_seconds() if self.started_at and until else None

    @property
    def rate(self) -> float | None:
        """Return the rows per second. Return None if no row was read yet, or if the load has taken too little time."""
        seconds = self.seconds
        return self.received / seconds if seconds and seconds >= _LEAST_SECONDS and self.received else None
