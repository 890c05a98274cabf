"""Invokes functions for ministack. A request waits for the result of the function, an event does not."""

import asyncio
import json
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from infra.local.runtime import log_streams
from infra.local.runtime.delivery import Delivery
from infra.local.runtime.event_queue import Policy
from infra.local.runtime.pool import Pool
from infra.local.runtime.records import Credentials, Function, Json
from infra.local.runtime.slots import acquire
from infra.local.runtime.template import Release
from infra.local.runtime.worker import Outcome

PATIENCE = 2.0  # seconds that a request waits for a free worker
_START = 10.0  # further seconds that a request waits while the first worker starts
Key = tuple[str, str, str]


class Lambdas:
    """Invokes all functions of the embedded AWS. `find` returns ministack's present record of a function, or None.

    `in_scope` calls Python code in the scope of a Lambda function's account and region. `give_up` sends an event that
    was given up to a destination. All methods except `submit`, `resize` and `retire` must be called in the server's
    event loop.
    """

    def __init__(
        self,
        credentials: Credentials,
        find: Callable[[Key], Json | None],
        in_scope: Callable[..., Any],
        give_up: Callable[[str, str, Json, Json], None],
    ) -> None:
        self._credentials, self._find, self._in_scope, self._route = credentials, find, in_scope, give_up
        # The start of a process needs a whole core. If more processes than cores started at the same time, all of them
        # would start later.
        self._starts = ThreadPoolExecutor(os.cpu_count() or 1, "start")
        self._pools: dict[Key, Pool] = {}
        self._deliveries: dict[Key, Delivery] = {}
        self._releases: dict[Key, Release] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: list[tuple[Function, bytes]] = []  # events that came before `start`

    def start(self) -> None:
        """Begin to deliver events."""
        self._loop = asyncio.get_running_loop()
        for function, payload in self._early:
            self._put(function, payload)
        self._early.clear()

    async def stop(self) -> None:
        """Drop all events and end all workers."""
        for delivery in self._deliveries.values():
            await delivery.stop()
        for pool in self._pools.values():
            await pool.stop()
        self._starts.shutdown()

    async def request(self, function: Function, event: Any) -> Outcome | None:
        """Invoke a function and return the result, or None if no worker was free in time."""
        pool = self._pool(function)
        if function.limit <= 0:
            return None
        if pool.slots.full:  # PATIENCE begins only when the first worker has started
            with suppress(TimeoutError):
                await asyncio.wait_for(pool.ready.wait(), _START)
        if not await acquire(pool.slots, PATIENCE):
            return None
        # The invocation goes on even if the client disconnects, because a worker cannot be interrupted.
        return await asyncio.shield(asyncio.ensure_future(self._invoke_with_slot(pool, function, _json(event))))

    def submit(self, function: Function, event: Any) -> None:
        """Let a function handle an event later. Any thread may call this."""
        payload = _json(event)
        if self._loop is None:
            self._early.append((function, payload))
        else:
            self._loop.call_soon_threadsafe(self._put, function, payload)

    async def start_ahead(self, function: Function) -> None:
        """Start one worker for each core, but not more workers than the function may have. Raises StartFailed."""
        await self._pool(function).start_ahead(self._release(function), os.cpu_count() or 1)

    def resize(self, function: Function) -> None:
        """Give a function as many slots as it may have now. Any thread may call this.

        Without this call, the events of a function that was switched off would wait until somebody invokes it again.
        """
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._pool, function)

    def retire(self, key: Key) -> None:
        """End the idle workers of a function that was changed or deleted. Any thread may call this."""
        if self._loop is not None and key in self._pools:
            self._loop.call_soon_threadsafe(self._pools[key].retire)

    async def _invoke_with_slot(self, pool: Pool, function: Function, payload: bytes) -> Outcome:
        try:
            return await self._invoke(pool, function, payload)
        finally:
            pool.slots.free()

    async def _invoke(self, pool: Pool, function: Function, payload: bytes) -> Outcome:
        def log(stream: str, lines: str) -> None:
            self._in_scope(function.config, log_streams.append, f"/aws/lambda/{function.name}", stream, lines)

        return await pool.invoke(self._release(function), str(uuid.uuid4()), payload, log)

    def _release(self, function: Function) -> Release:
        """Return the description of a function's code and settings. Make a new description only after a change."""
        known = self._releases.get(function.key)
        if known is None or known.key != function.release_key:
            known = self._in_scope(function.config, function.release, self._credentials, os.environ)
            self._releases[function.key] = known
        return known

    def _pool(self, function: Function) -> Pool:
        key = function.key
        if key not in self._pools:
            self._pools[key] = Pool(self._starts, function.limit, log_streams.stream_name)
        pool = self._pools[key]
        if pool.slots.limit != function.limit:
            pool.slots.limit = function.limit
        return pool

    def _put(self, function: Function, payload: bytes) -> None:
        key = function.key
        if key not in self._deliveries:
            self._deliveries[key] = self._delivery(key, function)
        self._deliveries[key].put(payload)

    def _delivery(self, key: Key, first: Function) -> Delivery:
        """Return the delivery of a function. Each attempt uses the present code and settings of the function."""
        present = first

        def current() -> Function:
            nonlocal present
            record = self._find(key)
            present = Function(record) if record else present
            return present

        async def attempt(payload: bytes) -> Outcome:
            function = current()
            return await self._invoke(self._pool(function), function, payload)

        def give_up(payload: bytes, outcome: Outcome, policy: Policy) -> None:
            if policy.destination:
                body = {"body": outcome.parsed(), "error": True, "function_error": "Unhandled"}
                scope = (present.config, self._route, policy.destination, present.name, json.loads(payload), body)
                self._in_scope(*scope)

        return Delivery(self._pool(first).slots, attempt, lambda: current().policy, give_up)


def _json(event: Any) -> bytes:
    return json.dumps(event).encode()
