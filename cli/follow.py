"""Following loads until they end."""

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
_FIRST, _SLOWER, _LONGEST = 0.1, 1.3, 2.0  # seconds between two looks
_BLIND = 10  # looks in a row that may fail


def follow(
    api: Api,
    notes: Output,
    status_urls: Mapping[str, str],
    wait: Callable[[float], None] = time.sleep,
    *,
    shown: bool = True,
) -> Iterator[tuple[str, Load]]:
    """The loads by their names, each as it ends. Loads go on whether or not anybody follows them.

    Nothing may be printed on the terminal between two of them where progress is `shown`.
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
                load = _looked_at(api, url, wait)
                progress.update(tasks[name], description=printable(f"{name}: {_state(load)}"))
                if load["status"] in FINAL:
                    del running[name]
                    yield name, load


def _looked_at(api: Api, url: str, wait: Callable[[float], None]) -> Load:
    """A look at a load, which a short failure of the network or of the API does not end."""
    for left in range(_BLIND, 0, -1):
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
