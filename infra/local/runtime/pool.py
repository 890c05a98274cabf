"""Keeps the workers of one function."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

from infra.local.runtime.bootstrap import FORKS
from infra.local.runtime.slots import Slots
from infra.local.runtime.template import Release, StartFailed, Template
from infra.local.runtime.worker import Outcome, Worker

_Result = TypeVar("_Result")
Log = Callable[[str, str], None]  # gets the name of a log stream, and lines for the stream


class Pool:
    """Keeps the workers of one function, and counts its slots. A worker stays after its event, so there are at
    most as many workers as slots were in use at the same time.

    `starts` has one thread for each process that may start at the same time. `stream` makes the name of a log stream.
    Without `forks`, each worker is a process that has imported the code itself.
    """

    def __init__(self, starts: Executor, limit: int, stream: Callable[[], str], *, forks: bool = FORKS) -> None:
        self.slots = Slots(limit)
        self._starts, self._stream, self._forks = starts, stream, forks
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._key = ""
        self._template: Template | None = None
        self._modules: list[str] = []
        self.ready = asyncio.Event()  # set when the first worker has started, or could not be started
        self._turn = asyncio.Lock()  # for the template, which does one thing at a time

    async def invoke(self, release: Release, request_id: str, event: bytes, log: Log) -> Outcome:
        """Let a worker handle an event, which is JSON. The caller holds a slot."""
        try:
            worker = await self._worker(release)
        except StartFailed as error:
            return Outcome.error(error.kind, str(error))
        seconds = float(release.about["timeout"])
        self._busy.add(worker)
        try:
            outcome = await worker.invoke(request_id, event, seconds, lambda lines: log(worker.log_stream, lines))
        except BaseException:
            worker.kill()
            raise
        finally:
            self._busy.discard(worker)
        if len(worker.modules) > len(self._modules):
            await self._learn(worker.modules)
        self._put_back(worker, release.key, as_next=not outcome.is_unavailable)
        return outcome

    async def start_ahead(self, release: Release, workers: int) -> None:
        """Start workers until this number of workers is idle or busy. Raises StartFailed.

        Stop if another release is invoked meanwhile, because workers of this release would not be kept.
        """
        self._use(release)
        for _ in range(min(workers, self.slots.limit)):
            if len(self._idle) + self.slots.taken >= min(workers, self.slots.limit) or release.key != self._key:
                return
            self._put_back(await self._started(release), release.key)

    def retire(self) -> None:
        """End the idle workers. Busy workers end after their event."""
        for worker in self._idle:
            worker.close()
        self._idle.clear()
        self._key = ""

    async def stop(self) -> None:
        """End all processes."""
        self.retire()
        for worker in self._busy:
            worker.kill()
        async with self._turn:
            await self._end_template()

    async def _worker(self, release: Release) -> Worker:
        self._use(release)
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            worker.close()
        return await self._started(release)

    def _use(self, release: Release) -> None:
        """End the idle workers of another release."""
        if release.key != self._key:
            self.retire()
            self._key = release.key

    def _put_back(self, worker: Worker, key: str, *, as_next: bool = True) -> None:
        """Keep an idle worker. By default, it handles the next event. A worker that could not serve a request comes
        last instead, because other workers may have the connection that it lacks."""
        if worker.alive and key == self._key:
            self._idle.insert(len(self._idle) if as_next else 0, worker)
        else:
            worker.close()

    async def _started(self, release: Release) -> Worker:
        """Return a new worker. Raises StartFailed."""
        if not self._idle and not self._busy:
            self.ready.clear()
        try:
            return await self._forked(release)
        finally:
            self.ready.set()  # even if the start has failed, because then no request should wait any longer

    async def _forked(self, release: Release) -> Worker:
        """Return a new worker. If the template has ended, start another one and try once more. Raises StartFailed."""
        stream = self._stream()
        async with self._turn:
            kept = self._template is not None and self._template.key == release.key
            template = await self._template_of(release)
            try:
                connection, pid = await self._in_thread(template.fork, stream)
            except StartFailed:
                await self._end_template()
                if not kept:
                    raise
                template = await self._template_of(release)
                connection, pid = await self._in_thread(template.fork, stream)
            if not self._forks:
                template.leave()
                self._template = None
        self._key = self._key or release.key
        return await Worker.connected(connection, pid, stream)

    async def _template_of(self, release: Release) -> Template:
        if self._template is None or self._template.key != release.key:
            await self._end_template()
            self._template = await self._in_thread(partial(Template, release, self._modules, forks=self._forks))
        return self._template

    async def _learn(self, modules: list[str]) -> None:
        """Let the template import the modules that a worker has imported, so that later workers need no import."""
        self._modules = modules
        async with self._turn:
            if self._template is not None:
                try:
                    await self._in_thread(self._template.preload, modules)
                except StartFailed:
                    await self._end_template()

    async def _end_template(self) -> None:
        template, self._template = self._template, None
        if template is not None:
            await self._in_thread(template.stop)

    async def _in_thread(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._starts, work, *arguments)
