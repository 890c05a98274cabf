"""Following loads until they end."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from infra.cli.client import Api
from infra.cli.errors import Refused
from infra.cli.show import Output
from infra.errors import CloudError
from infra.text import printable

Load = dict[str, Any]
FINAL = ("succeeded", "failed", "skipped")
_FIRST, _SLOWER, _LONGEST = 0.1, 1.3, 2.0  # seconds between two looks
_BLIND = 10  # looks in a row that may fail


def follow(
    api: Api, notes: Output, status_urls: Mapping[str, str], wait: Callable[[float], None] = time.sleep
) -> dict[str, Load]:
    """The ended loads by their names, in the same order. Loads go on whether or not anybody follows them."""
    found: dict[str, Load] = {}
    pause = _FIRST
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with notes.progress(*columns) as progress:
        tasks = {name: progress.add_task(printable(f"{name}: queued"), total=None) for name in status_urls}
        while running := [name for name in status_urls if found.get(name, {}).get("status") not in FINAL]:
            wait(pause)
            pause = min(pause * _SLOWER, _LONGEST)
            for name in running:
                found[name] = _looked_at(api, status_urls[name], wait)
                progress.update(tasks[name], description=printable(f"{name}: {_state(found[name])}"))
    return {name: found[name] for name in status_urls}


def _looked_at(api: Api, url: str, wait: Callable[[float], None]) -> Load:
    """A look at a load, which a short failure of the network or of the API does not end."""
    for left in range(_BLIND, 0, -1):
        try:
            return dict(api.get(url))
        except CloudError as error:
            final = isinstance(error, Refused) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            if final or left == 1:
                raise
            wait(_LONGEST)
    raise AssertionError("unreachable")


def _state(load: Load) -> str:
    rows = f", {load['received']:,} rows" if load["received"] else ""
    attempt = f", attempt {load['attempts']}" if load["attempts"] > 1 else ""
    return f"load {load['id']} {load['status']}{rows}{attempt}"
