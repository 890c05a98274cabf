"""Starts the template of a function, the process that forks the function's workers (see `bootstrap`)."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from infra.local.runtime import bootstrap

_PATIENCE = 60.0  # seconds that an import may take; the machine may be busy
_GRACE = 2.0  # seconds between SIGTERM and SIGKILL


class StartFailed(Exception):
    """A function's code cannot be imported, or its process has ended. The text says why."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Release:
    """Describes one release of a function to its template. `key` changes with the code and the settings.

    `about` describes the function for `bootstrap.Context`. `environment` has all environment variables. `unpacked`
    returns the folder with the unpacked code.
    """

    key: str
    handler: str
    about: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    unpacked: Callable[[], Path] = field(repr=False)


class Template:
    """The template of one release. Its methods block, so call them in a thread, one call at a time."""

    def __init__(self, release: Release, modules: Sequence[str], *, forks: bool) -> None:
        """Start the process, and wait until it has imported the code and `modules`. Raises StartFailed.

        Without `forks`, the process itself becomes the worker, so `fork` may be called only once.
        """
        self.key = release.key
        code = release.unpacked()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_PATIENCE)
        name = str(release.about["name"])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, bootstrap.__file__, str(theirs.fileno()), name],
                cwd=code,
                env={**release.environment, "LAMBDA_TASK_ROOT": str(code)},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        start = {**release.about, "code": str(code), "handler": release.handler}
        start |= {"modules": list(modules), "forks": forks}
        self._send(bootstrap.START, json.dumps(start).encode())
        kind, content = self._receive()
        if kind == bootstrap.FAILED:
            self.stop()
            raise StartFailed(*json.loads(content))

    def fork(self, log_stream: str) -> tuple[socket.socket, int]:
        """Return the socket and the pid of a new worker. Raises StartFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            content = log_stream.encode()
            head = bootstrap.HEAD.pack(bootstrap.FORK, len(content))
            try:
                socket.send_fds(self._control, [head], [theirs.fileno()])
                self._control.sendall(content)
                _, pid = self._receive()
            except (OSError, StartFailed) as error:
                ours.close()
                raise StartFailed("Runtime.ExitError", f"the template has ended: {error}") from error
        return ours, int(pid)

    def preload(self, modules: Sequence[str]) -> None:
        """Import modules that a worker has needed, so that the next workers have them."""
        self._send(bootstrap.IMPORT, json.dumps(list(modules)).encode())

    def leave(self) -> None:
        """Let the process go on as a worker. A thread waits for the end of the process, so that no zombie is left."""
        self._control.close()
        Thread(target=self._process.wait, daemon=True).start()

    def stop(self) -> None:
        """End the process. Its workers go on until their sockets are closed."""
        self._control.close()
        with suppress(OSError):
            self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, kind: bytes, content: bytes) -> None:
        try:
            bootstrap.send(self._control, kind, content)
        except OSError as error:
            raise StartFailed("Runtime.ExitError", f"the template has ended: {error}") from error

    def _receive(self) -> tuple[bytes, bytes]:
        try:
            return bootstrap.receive(self._control)
        except (EOFError, OSError) as error:
            code = self._process.poll()
            raise StartFailed("Runtime.ExitError", f"the process does not respond (status {code}): {error}") from error
