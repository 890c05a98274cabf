"""Measures requests per second through the deployed API. The limit is a route of the same function that returns a
constant."""

from collections.abc import Callable, Iterator
from itertools import count

from bench import callers
from bench.callers import Request, Traffic
from bench.cases import Scale
from bench.results import Result
from bench.rig import Rig
from bench.stage import stage
from bench.traffic import Requests, beside_constants

CALLERS = 8
SECONDS = 2.0  # seconds that the clients send requests for one sample


def requests_per_second(_: Rig, scale: Scale) -> Iterator[Result]:
    with stage() as running:
        running.fill(scale.rows)
        requests = Requests(running.url, count(1))
        works: tuple[tuple[str, Callable[[], Request]], ...] = (
            ("report quarterly", lambda: requests.read("/department/hires/quarterly/2021")),
            ("report top", lambda: requests.read("/department/hires/top/2021")),
            ("single upload", requests.department),
        )
        for name, choose in works:
            pairs = beside_constants(running.url, choose, CALLERS, SECONDS, scale.rounds)
            ours, constants = [_rate(own) for own, _ in pairs], [_rate(constant) for _, constant in pairs]
            work = f"requests per second, {name}"
            yield Result(work, "a constant of the same size", ours, constants, 0.7, True, "/s")


def rate(url: str, choose: Callable[[], Request]) -> float:
    """Return the responses per second to CALLERS clients. Raises AssertionError if a request fails."""
    return _rate(callers.call_for(url, choose, CALLERS, SECONDS))


def _rate(traffic: Traffic) -> float:
    assert not traffic.failed, traffic.failed
    assert not traffic.refused, traffic.refused
    return traffic.rate
