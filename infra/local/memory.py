"""Saves the state of the embedded AWS, so that the state survives a `kill -9`.

ministack writes objects to disk at once. It writes everything else (APIs, functions, roles, rules, queues with their
messages) only when it is stopped. This module writes the state of a service after each change, with ministack's own
function. The response to a request that changes something is sent only after the change is on disk.

Two kinds of changes reach the disk later:

- changes of functions, because each save writes the code of all functions;
- messages that ministack itself sends to a queue (dead letters), because no request causes them.

Their delay is POLL seconds, or a little more if the queues hold thousands of messages. A slow disk or a busy machine
does not add to it, because only the processor time of a look at the queues counts.
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
_SHARE = 20  # looks at the queues take at most one twentieth of the time
_ATTEMPTS = 5
_log = logging.getLogger("hireflow.memory")
_LATER = frozenset({"lambda"})  # saved later, because a save takes 80 ms for 10 MB of code
Save = Callable[[str, Any], None]
StateOf = Callable[[str], Any]


def of_ministack(module: str) -> Any:
    """Return the state of a service's module, or None if the service was not used yet."""
    loaded: Any = sys.modules.get(f"ministack.services.{module}")
    return loaded.get_state() if hasattr(loaded, "get_state") else None


class Memory:
    """Saves the state of services.

    `services` maps the name of each service to its modules by file name. `state_of` reads the state of a module, and
    `save` writes the state to a file.
    """

    def __init__(self, services: Mapping[str, Mapping[str, str]], save: Save, state_of: StateOf = of_ministack) -> None:
        self._services, self._save, self._state_of = services, save, state_of
        self._dirty: set[str] = set()
        self._turn = asyncio.Lock()
        # The saves have a thread of their own, because functions may occupy all of ministack's threads.
        self._thread = ThreadPoolExecutor(1, "memory")
        self._messages = 0
        self._task: asyncio.Task[None] | None = None

    async def written(self, service: str) -> None:
        """Save a service after a change. Return when the change is on disk. Changes of functions are saved later."""
        # A request to CloudFormation may change any service.
        self._dirty |= set(self._services) if service == "cloudformation" else {service}
        if service not in _LATER:
            await self._flush(self._dirty - _LATER)

    def start(self) -> None:
        """Save changes in the background until `stop`."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Save all changes and stop. Call this before ministack stops and saves its own state."""
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
            changed, took = await self._in_thread(self._look_at_messages)
            if changed:
                self._dirty.add("sqs")
            if self._dirty:
                await self._flush(self._dirty)

    async def _flush(self, wanted: Set[str]) -> None:
        """Save every wanted service that has changed."""
        async with self._turn:  # another flush may have saved the change while this one waited for the lock
            taken = self._dirty & wanted
            self._dirty -= taken
            try:
                await self._in_thread(self._write, taken)
            except RuntimeError:  # the state changed during every attempt to copy it; the next flush follows soon
                _log.exception("the state of the embedded AWS could not be saved; the next attempt follows soon")
                self._dirty |= taken

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _write(self, names: set[str]) -> None:
        for name in names & set(self._services):
            for file, module in self._services[name].items():
                state = self._copied(module)
                if state is not None:
                    self._save(file, state)

    def _look_at_messages(self) -> tuple[bool, float]:
        """Return whether the messages have changed since the last look, and the seconds of processor time that this
        look took."""
        began = time.thread_time()
        return self._messages_changed(), time.thread_time() - began

    def _messages_changed(self) -> bool:
        before = self._messages
        with suppress(RuntimeError):
            state = self._state_of("sqs")
            self._messages = hash(repr(state["queues"].to_dict())) if state else before
        return self._messages != before

    def _copied(self, module: str) -> Any:
        """Return a copy of a module's state. A request may change the state during the copy, so this may need retries.

        Raises RuntimeError if all attempts fail.
        """
        for _ in range(_ATTEMPTS - 1):
            with suppress(RuntimeError):
                return self._state_of(module)
        return self._state_of(module)


def services(registry: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Map each service in ministack's registry to its modules by file name."""
    return {
        name: {entry.get("state_key", entry["module"]): entry["module"]}
        | {module: module for module in entry.get("sub_modules") or ()}
        for name, entry in registry.items()
    }
