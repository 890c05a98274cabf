"""Follows loads until they end."""

import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from cli.api import Api
from cli.errors import CommandError, Refused
from cli.output import Output
from cli.statuses import FINAL
from cli.text import printable

Load = dict[str, Any]
_FIRST, _SLOWER, _LONGEST = 0.1, 1.3, 2.0  # seconds between two polls: the first pause, its growth factor, the longest
_MAX_FAILURES = 10  # polling ends after so many failures in a row


def follow(
    api: Api,
    notes: Output,
    status_urls: Mapping[str, str],
    wait: Callable[[float], None] = time.sleep,
    *,
    shown: bool = True,
) -> Iterator[tuple[str, Load]]:
    """Poll loads, and yield each with its name when it ends. Loads also continue if nobody follows them.

    While progress is `shown`, the caller must print nothing on the terminal before all loads have ended.
    """
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    running, pause = dict(status_urls), _FIRST
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with notes.progress(*columns, shown=shown) as progress:
        tasks = {name: progress.add_task(printable(f"{name}: queued"), total=None) for name in status_urls}
        while running:
            wait(pause)
            pause = min(pause * _SLOWER, _LONGEST)
            for name, url in list(running.items()):
                load = _poll(api, url, wait)
                progress.update(tasks[name], description=printable(f"{name}: {_state(load)}"))
                if load["status"] in FINAL:
                    del running[name]
                    yield name, load


def _poll(api: Api, url: str, wait: Callable[[float], None]) -> Load:
    """Return the present state of a load. Retry after short failures of the network or of the API."""
    for left in range(_MAX_FAILURES, 0, -1):
        try:
            return dict(api.get(url))
        except CommandError as error:
            final = isinstance(error, Refused) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            if final or left == 1:
                raise
            wait(_LONGEST)
    raise AssertionError("unreachable")


def _state(load: Load) -> str:
    rows = f", {load['received']:,} rows" if load["received"] else ""
    attempt = f", attempt {load['attempts']}" if load["attempts"] > 1 else ""
    return f"load {load['id']} {load['status']}{rows}{attempt}"
