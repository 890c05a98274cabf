"""Starts, finds and stops daemons: background processes that outlive the command that started them.

A daemon inherits an open, locked file. The lock is held exactly as long as a process of the daemon lives, however the
process ends. So no command mistakes an old record or a reused pid for the daemon. Signals are sent only to a process
whose pid and start time are the recorded ones.
"""

import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.errors import CloudError
from infra.local import launch
from infra.locks import try_lock, wait_until

_children: list[subprocess.Popen[bytes]] = []  # daemons of this process, which it must reap when they end


class Daemon:
    """One daemon. Its files are `<folder>/<name>.lock`, `<name>.pid` (pid and start time) and `<name>.log`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._lock, self._record, self.log = (folder / f"{name}.{kind}" for kind in ("lock", "pid", "log"))

    def alive(self) -> bool:
        """Return whether any process of the daemon lives."""
        _reap()
        try:
            with self._lock.open() as file:
                return not try_lock(file.fileno(), shared=True)
        except FileNotFoundError:
            return False

    @contextmanager
    def claim(self) -> Iterator[int | None]:
        """Hold the lock while the daemon is prepared and started. Yield the lock's descriptor, or None if it is locked.

        Pass the descriptor also to every helper process. If this process is killed, a helper that still runs keeps the
        lock, so that no second start can begin.
        """
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a") as file:
            yield file.fileno() if try_lock(file.fileno()) else None

    def start(
        self,
        claim: int,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        user: pwd.struct_passwd | None = None,
        die_with_parent: bool = False,
    ) -> None:
        """Start the daemon in its own session, so that Ctrl-C in the terminal does not reach it.

        The daemon runs as `user`. With `die_with_parent`, the daemon ends when this process ends (Linux only).
        """
        options: list[str | Path] = ["--record", self._record]
        if user is not None:
            options += ["--uid", str(user.pw_uid), "--gid", str(user.pw_gid)]
        if die_with_parent:
            options += ["--parent", str(os.getpid())]
        with open(self.log, "ab", opener=_private) as log:
            _children.append(
                subprocess.Popen(
                    [sys.executable, "-I", "-S", launch.__file__, *options, "--", *command],
                    env=dict(env),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[claim],
                    start_new_session=True,
                )
            )

    def stop(self, sig: signal.Signals, timeout: float = 30) -> None:
        """Send `sig`, and SIGKILL after `timeout` seconds. Return when no process of the daemon is left.

        Raises CloudError if a process is left even after SIGKILL.
        """
        self.signal(sig)
        try:
            wait_until(lambda: not self.alive(), timeout, f"{self.name} does not stop")
        except CloudError:
            self.signal(signal.SIGKILL)
            wait_until(lambda: not self.alive(), timeout, f"{self.name} does not stop")
        self._record.unlink(missing_ok=True)

    def signal(self, sig: signal.Signals) -> None:
        """Send a signal if the recorded process is still the daemon."""
        pid = self.pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, sig)

    def pid(self) -> int | None:
        """Return the pid of the daemon, or None if it does not run."""
        try:
            record = json.loads(self._record.read_text())
            pid, started = int(record["pid"]), str(record["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return pid if self.alive() and launch.started(pid) == started else None

    def incarnation(self) -> str:
        """Return a text that identifies the running process (pid and start time), empty if the daemon does not run."""
        pid = self.pid()
        return "" if pid is None else f"{pid}/{launch.started(pid)}"

    def last_words(self, lines: int = 5) -> str:
        """Return the last lines of the daemon's log, for error messages."""
        try:
            return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "no log"


def _private(path: str, flags: int) -> int:
    """Open a log file that only its owner can read, because Postgres logs the values of rows in failed statements."""
    return os.open(path, flags, 0o600)


def _reap() -> None:
    for child in list(_children):
        if child.poll() is not None:
            _children.remove(child)
