"""Reading the functions' logs from CloudWatch Logs."""

import heapq
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from infra.cli.errors import Misuse
from infra.cli.loglines import Line
from infra.deploy.policies import deployed_name
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.venv import ROOT

API = "api"  # what Chalice names by the stage alone
_OVERLAP = 60_000  # milliseconds: how late a line may arrive after a younger one
_PAUSE = 2.0


def groups(stage: str, function: str | None) -> dict[str, str]:
    """Log groups by what we call their functions. Raises Misuse for a function that there is not."""
    declared = json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"]
    names = [API if name == "api_handler" else name for name in declared]
    if function is not None and function not in names:
        raise Misuse(f"there is no function {function}: one of {', '.join(names)}")
    chosen = names if function is None else [function]
    return {name: f"/aws/lambda/{deployed_name(stage, 'api_handler' if name == API else name)}" for name in chosen}


def pattern(wanted: Mapping[str, Any]) -> str:
    """CloudWatch's filter for lines with one of these fields; emulators let all lines pass."""
    return f"{{ {' || '.join(f'$.{name} = {json.dumps(value)}' for name, value in wanted.items())} }}" if wanted else ""


class Logs:
    """The log groups of a stage, `named` by function."""

    def __init__(self, client: Any, named: Mapping[str, str], filter_pattern: str = "") -> None:
        self._client, self._named, self._pattern = client, named, filter_pattern
        self._seen: dict[str, dict[str, int]] = {group: {} for group in named.values()}  # ids of the latest, by group

    @classmethod
    def of(cls, target: Target, named: Mapping[str, str], filter_pattern: str = "") -> "Logs":
        try:
            return cls(target.client("logs"), named, filter_pattern)
        except BotoCoreError as error:
            raise CloudError(f"the logs cannot be read: {error}") from error

    def since(self, start: int) -> Iterator[Line]:
        """Lines from `start` (milliseconds) on that were not given before, in the order of their arrival."""
        streams = [self._lines(function, group, start) for function, group in self._named.items()]
        for _, line in heapq.merge(*streams, key=lambda found: found[0]):
            yield line

    def follow(self, start: int, wait: Callable[[float], None] = time.sleep) -> Iterator[Iterator[Line]]:
        """What is there, then what comes, for ever; each part has to be read before the next."""
        while True:
            yield self.since(start)
            newest = max((at for seen in self._seen.values() for at in seen.values()), default=start)
            start = max(start, newest - _OVERLAP)
            wait(_PAUSE)

    def _lines(self, function: str, group: str, start: int) -> Iterator[tuple[int, Line]]:
        for event in self._events(group, start):
            yield event["timestamp"], Line.of(function, event["timestamp"], event["message"])

    def _events(self, group: str, start: int) -> Iterator[dict[str, Any]]:
        """New events of a group."""
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
        asked = {"filterPattern": self._pattern} if self._pattern else {}
        try:
            return dict(self._client.filter_log_events(logGroupName=group, **asked, **more))
        except self._client.exceptions.ResourceNotFoundException:
            return {"events": []}  # a function that has not been called yet
        except EndpointConnectionError as error:
            raise CloudError("the logs cannot be read, nobody answers. Is the stage stopped (make up)?") from error
        except (BotoCoreError, ClientError) as error:
            raise CloudError(f"the logs cannot be read: {error}") from error
