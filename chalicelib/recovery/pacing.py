"""Many offers are sent a few at a time, as earlier loads end.

If all were sent at once, each would start a function. The functions would wait for each other's locks, and take every
connection to the database.
"""

import time
from dataclasses import dataclass, field

from chalicelib.cloud.database import Session
from chalicelib.loads.outcomes import IS_UNFINISHED
from chalicelib.recovery.offers import Event, Offer

AT_ONCE = 10  # loads that may be under way at the same time
_PATIENCE = 20.0  # seconds to wait for one load: it may take long, or its event may never reach the function
_INTERVAL = 0.1  # seconds between two queries of the loads


@dataclass
class Paced:
    """`offer`, with at most `at_once` loads at a time. It does not wait after `until`, a time of time.monotonic().
    `offered` counts its calls."""

    session: Session
    offer: Offer
    at_once: int
    until: float
    offered: int = 0
    _at_work: dict[tuple[str, str], float] = field(default_factory=dict)  # (source, version): when it was offered

    def __call__(self, source: str, version: str, event: Event) -> None:
        while len(self._at_work) >= self.at_once and time.monotonic() < self.until:
            self._forget_ended()
            if len(self._at_work) >= self.at_once:
                time.sleep(_INTERVAL)
        self.offer(event)
        self._at_work[source, version] = time.monotonic()
        self.offered += 1

    def _forget_ended(self) -> None:
        ended = self.session.run(
            "SELECT l.source, l.version FROM unnest(CAST(:sources AS text[]), CAST(:versions AS text[])) AS o (s, v)"
            f" JOIN loads l ON l.source = o.s AND l.version = o.v AND NOT l.{IS_UNFINISHED}",
            sources=[source for source, _ in self._at_work],
            versions=[version for _, version in self._at_work],
        )
        for source, version in ended:
            del self._at_work[source, version]
        too_old = time.monotonic() - _PATIENCE
        self._at_work = {which: at for which, at in self._at_work.items() if at > too_old}
