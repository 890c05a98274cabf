"""Runs the process of the embedded AWS: ministack behind the front and the gate, on one port of 127.0.0.1.

The process runs in the embedded AWS's own virtual environment. Its argument is the state folder, from which it reads
the stage's credentials. The credentials are not in the environment of this process, because functions inherit that
environment.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from infra.local import lifecycle
from infra.local.front import Front
from infra.local.gate.app import App, Gate, Send, utc_now
from infra.local.gate.bodies import Message, Receive
from infra.local.gate.credentials import Keys, Session
from infra.local.logtrim import trimming
from infra.local.memory import Memory, services
from infra.local.objects.objects import on_disk
from infra.local.rotation import rotating
from infra.local.runtime import replacement
from infra.local.runtime.lambdas import Lambdas

_PIECE = 256 * 1024  # bytes of one read, as many as asyncio reads from a socket at a time
_HEAD = 15  # seconds that the head of a request may take, or that a connection may be idle
_READY = 0.01  # seconds until a function that was created or changed is active


class Sessions:
    """Gives ministack the credentials of the functions, and registers these credentials with ministack's IAM."""

    def __init__(self, keys: Keys, register: Any) -> None:
        self._keys, self._register = keys, register
        self._known: set[str] = set()

    def of_function(self, config: dict[str, Any]) -> dict[str, str]:
        """Return the AWS_* variables for a function with this configuration."""
        session = self._keys.session(config["FunctionArn"], config.get("Role", ""))
        self.admit(session)
        return session.env()

    def admit(self, session: Session) -> None:
        """Register credentials with IAM unless this was done. After a restart, IAM has lost all registrations."""
        if session.access_key not in self._known:
            self._register(session.access_key, session.record())
            self._known.add(session.access_key)


class Alive:
    """An application with background tasks, which start and stop with the application. `tasks` has the functions that
    run as tasks until they are cancelled."""

    def __init__(
        self, inner: App, memory: Memory, lambdas: Lambdas, tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    ) -> None:
        self._inner, self._memory, self._lambdas, self._tasks = inner, memory, lambdas, tasks
        self._running: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            receive, send = self._ending(receive), self._started(send)
        await self._inner(scope, receive, send)

    def _started(self, send: Send) -> Send:
        """Start the tasks after ministack has read its saved state. Tasks that start earlier would save an empty
        state."""

        async def started(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._memory.start()
                self._lambdas.start()
                self._running = [asyncio.get_running_loop().create_task(task()) for task in self._tasks]
            await send(message)

        return started

    def _ending(self, receive: Receive) -> Receive:
        """Stop the tasks before ministack saves its own state."""

        async def ending() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._lambdas.stop()
                await self._memory.stop()
                for task in self._running:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
            return message

        return ending


def application(home: Path, endpoint: str) -> App:
    """Build the whole application. Call this once in a process, before any other import of ministack."""
    keys = Keys.kept(home)
    os.environ.update(keys.env())  # ministack's root credentials, with which it verifies forms
    from ministack.core import lambda_runtime

    # ministack would derive credentials from a function's ARN, which is not secret. Replace this function before other
    # modules import it.
    sessions = Sessions(keys, _register)
    lambda_runtime.execution_credentials = sessions.of_function
    from ministack import app
    from ministack.core.persistence import save_state
    from ministack.services import lambda_svc, s3

    # ministack keeps a changed function pending for half a second (AWS: some seconds). A deployment makes sixteen such
    # changes, so these pauses would add up to eight seconds.
    _replace(lambda_svc, "_LAMBDA_STATE_TRANSITION_DELAY", _READY)
    _replace(s3, "_verify_presigned_sigv4", _verified_by_the_gate)
    memory = Memory(services(app.SERVICE_REGISTRY), save_state)
    front = Front(on_disk(app, s3, Path(tempfile.gettempdir())), endpoint, keys)
    lambdas = replacement.install(sessions.of_function, _replace)
    tasks = (
        partial(rotating, home / "aws.log"),
        _trimming,
        partial(lifecycle.applying, partial(keys.client, "s3", endpoint)),
    )
    return Alive(Gate(front, keys, sessions.admit, memory.written, utc_now), memory, lambdas, tasks)


async def _trimming() -> None:
    from ministack.services import cloudwatch_logs

    def groups() -> Iterator[dict[str, Any]]:
        return (group for _, group in cloudwatch_logs._log_groups.all_items())

    await trimming(groups, cloudwatch_logs._log_events_lock, lambda: time.time_ns() // 1_000_000)


def _replace(module: Any, name: str, value: Any) -> None:
    """Replace an attribute of a module. Raises AttributeError if the module, in another version, has no such name."""
    getattr(module, name)
    setattr(module, name, value)


def _verified_by_the_gate(*_: Any) -> None:
    """Accept every presigned link without work, because the gate has already verified its signature."""


def _register(access_key: str, record: dict[str, str]) -> None:
    from ministack.services import sts

    sts.register_session(access_key, record)


def main() -> None:
    from hypercorn.asyncio import serve, tcp_server
    from hypercorn.config import Config

    # Hypercorn reads 64 KiB at a time and has no setting for this. Such small reads would take longer than the gate's
    # hashes.
    _replace(tcp_server, "MAX_RECV", _PIECE)
    bind = f"{os.environ['BIND_HOST']}:{os.environ['GATEWAY_PORT']}"
    config = Config()
    config.bind = [bind]
    config.accesslog = None
    config.errorlog = "-"
    config.keep_alive_timeout = _HEAD
    serving: Any = serve
    asyncio.run(serving(application(Path(sys.argv[1]), f"http://{bind}"), config))


if __name__ == "__main__":
    main()
