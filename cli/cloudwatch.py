"""Reads the functions' logs from CloudWatch Logs."""

import heapq
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cli import functions
from cli.errors import CommandError, Misuse, NoAnswer
from cli.loglines import Line

_OVERLAP = 60_000  # milliseconds; a line may appear in the log this much later than it was written
_PAUSE = 2.0  # seconds between two reads while following


def groups(stage: str, function: str | None) -> dict[str, str]:
    """Map the short names of functions to their log groups. Raises Misuse if the stage has no such function."""
    if function is not None and function not in functions.NAMES:
        raise Misuse(f"there is no function {function}: choose one of {', '.join(functions.NAMES)}")
    chosen = functions.NAMES if function is None else (function,)
    return {name: f"/aws/lambda/{functions.deployed_name(stage, name)}" for name in chosen}


def pattern(wanted: Mapping[str, Any]) -> str:
    """Return CloudWatch's filter for lines with one of these fields. Emulators ignore filters and return all lines."""
    return f"{{ {' || '.join(f'$.{name} = {json.dumps(value)}' for name, value in wanted.items())} }}" if wanted else ""


class Logs:
    """Reads the log groups in `named`, which maps functions to their log groups."""

    def __init__(self, client: Any, named: Mapping[str, str], filter_pattern: str = "") -> None:
        self._client, self._named, self._pattern = client, named, filter_pattern
        # For each group: the times of its latest events, by the ids of the events.
        self._seen: dict[str, dict[str, int]] = {group: {} for group in named.values()}

    def since(self, start: int) -> Iterator[Line]:
        """Yield the lines since `start` (Unix time in milliseconds), in the order of time. Yield no line twice."""
        streams = [self._lines(function, group, start) for function, group in self._named.items()]
        for _, line in heapq.merge(*streams, key=lambda found: found[0]):
            yield line

    def follow(self, start: int, wait: Callable[[float], None] = time.sleep) -> Iterator[Iterator[Line]]:
        """Yield iterators for ever. The first iterator yields the lines that exist. Each later iterator yields new
        lines.

        Read each iterator to its end before you take the next one.
        """
        while True:
            yield self.since(start)
            newest = max((at for seen in self._seen.values() for at in seen.values()), default=start)
            start = max(start, newest - _OVERLAP)
            wait(_PAUSE)

    def _lines(self, function: str, group: str, start: int) -> Iterator[tuple[int, Line]]:
        for event in self._events(group, start):
            yield event["timestamp"], Line.of(function, event["timestamp"], event["message"])

    def _events(self, group: str, start: int) -> Iterator[dict[str, Any]]:
        """Yield the events of a group that were not yielded before."""
        more: dict[str, Any] = {"startTime": start}
        while more:
            page, seen = self._page(group, more), self._seen[group]
            for event in page["events"]:
                if event["eventId"] not in seen:
                    seen[event["eventId"]] = event["timestamp"]
                    yield event
            newest = max(seen.values(), default=start)
            self._seen[group] = {name: at for name, at in seen.items() if at >= newest - _OVERLAP}
            more = {**more, "nextToken": page["nextToken"]} if page.get("nextToken") else {}

    def _page(self, group: str, more: Mapping[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

        filters = {"filterPattern": self._pattern} if self._pattern else {}
        try:
            return dict(self._client.filter_log_events(logGroupName=group, **filters, **more))
        except self._client.exceptions.ResourceNotFoundException:
            return {"events": []}  # the function has not been invoked yet
        except EndpointConnectionError as error:
            raise NoAnswer(f"the logs cannot be read: {error}", refused=True) from error
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"the logs cannot be read: {functions.reason(error)}") from error
