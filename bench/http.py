"""Measures requests per second through the deployed API. The limit is a route of the same function that returns a
constant."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import urlsplit

from bench.cases import Scale, fill
from bench.results import Result
from bench.rig import Rig
from bench.stage import with_constant
from infra.deploy import driver
from infra.deploy.logins import Logins
from infra.deploy.target import Target, bucket_names, queue_names

CALLERS = 8
SECONDS = 2.0  # seconds that the clients send requests for one sample
Request = Callable[[], tuple[str, str, bytes | None]]


def requests_per_second(rig: Rig, scale: Scale) -> Iterator[Result]:
    fill(rig, scale.rows)
    url = _deploy(rig)
    ids = count(1)

    def upload() -> tuple[str, str, bytes | None]:
        row = {"id": next(ids), "department": "Bench"}
        return "POST", "/department/upload", json.dumps(row).encode()

    works: tuple[tuple[str, Request, int], ...] = (
        ("report quarterly", lambda: ("GET", "/department/hires/quarterly/2021", None), 200),
        ("report top", lambda: ("GET", "/department/hires/top/2021", None), 200),
        ("single upload", upload, 201),
    )
    for name, request, _ in works:
        size = len(_once(url, *request()))
        rates: list[float] = []
        constants: list[float] = []
        for turn in range(1 + scale.rounds):
            constant = rate(url, lambda size=size: ("GET", f"/constant/{size}", None))  # type: ignore[misc]
            per_second = rate(url, request)
            if turn:  # the first round does not count, because it starts the functions
                constants.append(constant)
                rates.append(per_second)
        yield Result(f"requests per second, {name}", "a constant of the same size", rates, constants, 0.7, True, "/s")


def _deploy(rig: Rig) -> str:
    """Deploy the product with one additional route. Return its URL."""
    source = with_constant(rig.folder / "source")
    logins = Logins.of("local", rig.url, rig.services.functions_url)
    functions = {
        **bucket_names("local"),
        **queue_names("local"),
        **logins.functions,
        "DATABASE_TLS": "disable",
        "HIREFLOW_AUTH": "off",
        "LOG_LEVEL": "ERROR",
    }
    target = Target("local", source, rig.folder / "build", functions, rig.services.aws, logins.migration)
    target.work.mkdir(exist_ok=True)
    driver.deploy(target, lambda _: None)
    return driver.api_url(target)


def _once(url: str, method: str, path: str, body: bytes | None) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    response = _send(connection, url, method, path, body)
    connection.close()
    return response


def _send(connection: http.client.HTTPConnection, url: str, method: str, path: str, body: bytes | None) -> bytes:
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, urlsplit(url).path + path, body, headers)
    response = connection.getresponse()
    text = response.read()
    assert response.status in (200, 201), text
    return text


def rate(url: str, request: Request) -> float:
    """Return the responses per second. CALLERS clients send requests at the same time. Each client sends its next
    request as soon as it has the response to the last one."""
    done, failed = [0] * CALLERS, list[BaseException]()
    end = time.monotonic() + SECONDS

    def call(caller: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        try:
            while time.monotonic() < end:
                _send(connection, url, *request())
                done[caller] += 1
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    start = time.monotonic()
    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if failed:
        raise failed[0]
    return sum(done) / (time.monotonic() - start)
