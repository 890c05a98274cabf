"""Works out how many rejects of a load must be resolved, and how many may be.

A reject is resolved if a later load brings a valid row with its id. It is also resolved if its own row has waited for a
department or job, and this department or job has come.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.faults.model import Stored

# A load that merges no row does not lock the table. So a merge at nearly the same time may miss the rejects of this
# load.
_UNORDERED = timedelta(seconds=10)


@dataclass
class Brought:
    """The ids of the valid rows that loads have brought into one dataset.

    `times` has the times of the merges that brought an id. `perhaps` has the ids that a load may have brought at any
    time: the response to a request was lost, or a row has waited.
    """

    times: dict[int, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    perhaps: set[int] = field(default_factory=set)

    def add(self, at: datetime, rows: Iterable[Stored | None]) -> None:
        """Note the rows of a merge. A row is None if its record was rejected."""
        for row in rows:
            if row is not None:
                self.times[row[0]].append(at)

    def bounds(self, load: Mapping[str, Any], rejects: Iterable[Mapping[str, Any]], came: set[int]) -> tuple[int, int]:
        """Return how many of the rejects of a load must be resolved at least and at most. `came` has the ids of the
        rows of this load that have waited, and whose parents have come."""
        merges = load["inserted"] + load["updated"] + load["unchanged"] + load["superseded"] > 0
        after = load["finished_at"] + (timedelta() if merges else _UNORDERED)
        before = load["finished_at"] - (timedelta() if merges else _UNORDERED)
        least = most = 0
        for reject in rejects:
            row_id = _id(reject)
            if row_id is None:
                continue
            waited = row_id in came and reject["codes"] == ["unknown_parent"]
            times = self.times.get(row_id, [])
            least += waited or any(at > after for at in times)
            most += waited or row_id in self.perhaps or any(at > before for at in times)
        return least, most


def _id(reject: Mapping[str, Any]) -> int | None:
    text = str((reject["row"] or {}).get("id"))
    return int(text) if text.isascii() and text.isdigit() else None
