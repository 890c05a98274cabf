"""Limits the number of offered loads that run at the same time. The next offer follows when an earlier load has ended.

Each offer starts an invocation. If all offers were sent at once, the invocations would wait for each other's locks, and
would use all connections of the database.
"""

import time
from dataclasses import dataclass, field

from chalicelib.cloud.database import Session
from chalicelib.loads.outcomes import IS_UNFINISHED
from chalicelib.recovery.offers import Event, Offer

AT_ONCE = 10  # loads that may run at the same time
# Seconds to wait for one load. Then the next offer follows, because a load may take long, and its event may be lost.
_PATIENCE = 20.0
_INTERVAL = 0.1  # seconds between two queries of the loads


@dataclass
class Paced:
    """Offers loads with the function `offer`, and lets at most `at_once` loads run at a time. From the time `until`,
    which is a time of time.monotonic(), offers no longer wait for other loads. `offered` counts the offers."""

    session: Session
    offer: Offer
    at_once: int
    until: float
    offered: int = 0
    _at_work: dict[tuple[str, str], float] = field(default_factory=dict)  # time of the offer, by (source, version)

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
        self._at_work = {load: offered_at for load, offered_at in self._at_work.items() if offered_at > too_old}
