"""Runs the embedded Postgres: real server programs, which listen on 127.0.0.1 only. A kill at any time loses no data.

with temporary() as postgres:
    connect(postgres.url)
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from infra.errors import CloudError
from infra.local import binaries, provision
from infra.local.daemons import Daemon
from infra.local.ports import HOST, free_port
from infra.local.provision import Role

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",  # many uploads at once start many invocations, each with a connection
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
}
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
# All users may create files here, so `home_of` checks who owns the server's folder.
_FOR_ALL = Path("/var/tmp")  # noqa: S108 # nosec B108


class Postgres:
    """One server with its data below `home`.

    With `fast`, the server is faster but may lose data in a crash, for tests. With `die_with_parent`, the server ends
    with the process that started it, even if that process is killed (Linux only; elsewhere call `stop`). `programs` is
    the folder of Postgres's programs; if it is empty, `binaries.find` chooses the folder.
    """

    def __init__(
        self, home: Path, role: Role, *, fast: bool = False, die_with_parent: bool = False, programs: str = ""
    ) -> None:
        self.home, self.role, self.fast, self.die_with_parent = home, role, fast, die_with_parent
        self._programs = programs
        self.data = home / "data"
        self._daemon = Daemon(home, "postgres")
        self._user = _unprivileged()

    @property
    def url(self) -> str:
        """Return DATABASE_URL for the database owner. Raises CloudError if the server does not run."""
        return self.role.url(HOST, self._running_port())

    @property
    def functions_url(self) -> str:
        """Return DATABASE_URL for the database role of the functions. Raises CloudError if the server does not run."""
        return provision.functions_url(self.url)

    @property
    def superuser_url(self) -> str:
        """Return the URL for the superuser. Raises CloudError if the server does not run."""
        return Role("postgres", self._superuser_password()).url(HOST, self._running_port(), "postgres")

    def running(self) -> bool:
        """Return whether the server accepts connections."""
        return self._daemon.alive() and self._status()[1] == "ready"

    def port(self) -> int | None:
        """Return the port on which the server accepts connections, or None."""
        return self._status()[0] if self.running() else None

    def start(self, port: int, timeout: float = 60) -> None:
        """Start the server on `port` unless it runs, and create missing data. Return when the server can be used.

        `timeout` is in seconds. Raises CloudError.
        """
        deadline = time.monotonic() + timeout
        while not self.running():
            with self._daemon.claim() as claim:
                if claim is not None:
                    self._launch(claim, port)
            # If the lock is taken, another start or the last process of a killed server holds it.
            while self._daemon.alive() and not self.running() and time.monotonic() < deadline:
                time.sleep(0.02)
            if claim is not None and not self._daemon.alive():
                raise CloudError(f"Postgres did not start: {self._daemon.last_words()}")
            if time.monotonic() > deadline:
                raise CloudError(f"Postgres is not ready after {timeout:.0f} s: {self._daemon.last_words()}")
        if not provision.is_done(self.url):
            provision.create(self.superuser_url, self.role)

    def stop(self) -> None:
        """Shut down in Postgres's mode `fast`: roll back open transactions, write a checkpoint, end."""
        self._daemon.stop(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server, as a crash would. Only tests use this."""
        self._daemon.stop(signal.SIGKILL)

    def incarnation(self) -> str:
        """See `Daemon.incarnation`."""
        return self._daemon.incarnation()

    def _launch(self, claim: int, port: int) -> None:
        """Start the server process. `claim` is the descriptor of the lock."""
        self.home.mkdir(parents=True, exist_ok=True)
        programs = binaries.usable_by(self._user, binaries.find(self._made_by(), self._programs), self.home)
        if self._made_by() is None:
            self._initdb(claim, programs)
        # This process holds the lock, so no server runs and the file is an old one. Postgres would refuse to start if
        # another process now had the pid in this file.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        settings = {**_SETTINGS, **(_FAST if self.fast else {}), "port": str(port)}
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        self._daemon.start(
            claim,
            [programs / "postgres", "-D", self.data, *options],
            env=_ENVIRONMENT,
            cwd=Path("/"),
            user=self._user,
            die_with_parent=self.die_with_parent,
        )

    def _made_by(self) -> int | None:
        """Return the major version of Postgres that created the data, or None if there are no data."""
        try:
            return int((self.data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def _initdb(self, claim: int, programs: Path) -> None:
        """Create the data folder. It gets its name only when it is complete, so no start uses an incomplete folder."""
        unfinished = self.home / "data.unfinished"
        for leftover in (self.data, unfinished):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = self.home / "initdb.password"
        _write_private(password, self._superuser_password())
        if self._user is not None:
            for path in (unfinished, password):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        command: list[str | Path] = [
            programs / "initdb",
            "-D",
            unfinished,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        command += ["-A", "scram-sha-256", f"--pwfile={password}", *(["--no-sync"] if self.fast else [])]
        done = subprocess.run(
            command,
            env=_ENVIRONMENT,
            cwd="/",
            pass_fds=[claim],
            capture_output=True,
            text=True,
            check=False,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
        )
        password.unlink()
        if done.returncode != 0:
            raise CloudError("initdb failed: " + " | ".join((done.stderr or done.stdout).splitlines()[-3:]))
        unfinished.rename(self.data)

    def _superuser_password(self) -> str:
        path = self.home / "superuser.password"
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _running_port(self) -> int:
        port = self.port()
        if port is None:
            raise CloudError("Postgres does not run")
        return port

    def _status(self) -> tuple[int | None, str]:
        """Return the port and the state that the server has written to its pid file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return int(lines[3]), lines[7].strip()
        except (OSError, IndexError, ValueError):
            return None, ""


@contextmanager
def temporary() -> Iterator[Postgres]:
    """Yield a new, fast server, which ends with the `with` block.

    The server also ends if this process is killed, but then its folder stays.
    """
    with temporary_home() as home, temporary_in(home) as postgres:
        yield postgres


@contextmanager
def temporary_in(home: Path) -> Iterator[Postgres]:
    """Yield such a server, with its data in the folder `home`."""
    postgres = Postgres(home, Role.generated(), fast=True, die_with_parent=True)
    try:
        postgres.start(free_port())
        yield postgres
    finally:
        postgres.stop()


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Yield a temporary folder that the server's user can reach. The data folder in it will be private."""
    folder = Path(tempfile.mkdtemp(prefix="hireflow-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def home_of(state: Path) -> Path:
    """Return the server's folder for a state folder.

    The server's folder lies in the state folder, or in /var/tmp if the server's user cannot reach the state folder.
    Raises CloudError if another user owns the folder in /var/tmp.
    """
    inside = state.resolve() / "postgres"
    if os.geteuid() != 0:
        return inside
    outside = _FOR_ALL / f"hireflow-{sha256(str(inside).encode()).hexdigest()[:16]}"
    if not outside.exists():
        state.mkdir(parents=True, exist_ok=True)
        if binaries.reachable(state.resolve()):
            return inside
        outside.mkdir(mode=0o755)
    if outside.is_symlink() or outside.stat().st_uid != 0:  # all users may create files there
        raise CloudError(f"{outside} does not belong to root: remove it")
    return outside


def _unprivileged() -> pwd.struct_passwd | None:
    """Return the user to run Postgres as, None for this process's user. Postgres refuses to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
