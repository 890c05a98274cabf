"""Saves the state of the embedded AWS, so that it survives a `kill -9`.

ministack writes objects to disk at once, but everything else (APIs, functions, roles, rules, queues with their
messages) only when it is asked to end. This module writes the state of a service whenever it has changed, with
ministack's own function. A request that changes something is answered when the change is on disk. Two things reach the
disk a moment later: changes of functions, because each save goes through all their code, and messages that ministack
itself sends to a queue, because there is no request (dead letters). The delay is POLL seconds, or a little more with
thousands of messages.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

POLL = 0.2  # seconds
_SHARE = 20  # looking for changes takes at most one part in so many of the time
_ATTEMPTS = 5
_log = logging.getLogger("hireflow.memory")
_LATER = frozenset({"lambda"})  # 80 ms for 10 MB of code
Save = Callable[[str, Any], None]
StateOf = Callable[[str], Any]


def of_ministack(module: str) -> Any:
    """The state of a service's module; None until the service is used."""
    loaded: Any = sys.modules.get(f"ministack.services.{module}")
    return loaded.get_state() if hasattr(loaded, "get_state") else None


class Memory:
    """`services` has the modules of each service by the names of their files. `state_of` reads the state of a module,
    and `save` writes it to a file."""

    def __init__(self, services: Mapping[str, Mapping[str, str]], save: Save, state_of: StateOf = of_ministack) -> None:
        self._services, self._save, self._state_of = services, save, state_of
        self._dirty: set[str] = set()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "memory")  # ministack's own threads may all be busy with functions
        self._messages = 0
        self._task: asyncio.Task[None] | None = None

    async def written(self, service: str) -> None:
        """Call this after a change in a service. It returns when the change is on disk, except for functions."""
        # CloudFormation may change any service.
        self._dirty |= set(self._services) if service == "cloudformation" else {service}
        if service not in _LATER:
            await self._flush(self._dirty - _LATER)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Save everything and stop, before ministack saves its own state at its end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._flush(self._dirty)
        self._thread.shutdown()

    async def _watch(self) -> None:
        took = 0.0
        while True:
            await asyncio.sleep(max(POLL, _SHARE * took))
            began = time.monotonic()
            if await self._in_thread(self._messages_changed):
                self._dirty.add("sqs")
            if self._dirty:
                await self._flush(self._dirty)
            took = time.monotonic() - began

    async def _flush(self, wanted: Set[str]) -> None:
        async with self._turn:  # after a wait, the change may already be saved with another one
            taken = self._dirty & wanted
            self._dirty -= taken
            try:
                await self._in_thread(self._write, taken)
            except RuntimeError:  # it kept changing; the next attempt comes soon
                _log.exception("the state of AWS is not saved yet")
                self._dirty |= taken

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _write(self, names: set[str]) -> None:
        for name in names & set(self._services):
            for file, module in self._services[name].items():
                state = self._copied(module)
                if state is not None:
                    self._save(file, state)

    def _messages_changed(self) -> bool:
        before = self._messages
        with suppress(RuntimeError):
            state = self._state_of("sqs")
            self._messages = hash(repr(state["queues"].to_dict())) if state else before
        return self._messages != before

    def _copied(self, module: str) -> Any:
        """A copy of a module's state. Requests go on meanwhile, so a dictionary may change during the copy: try a few
        times. Raises RuntimeError."""
        for _ in range(_ATTEMPTS - 1):
            with suppress(RuntimeError):
                return self._state_of(module)
        return self._state_of(module)


def services(registry: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The modules of every service by the names of their files, from ministack's registry."""
    return {
        name: {entry.get("state_key", entry["module"]): entry["module"]}
        | {module: module for module in entry.get("sub_modules") or ()}
        for name, entry in registry.items()
    }
