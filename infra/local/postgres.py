"""The embedded Postgres: real server programs, TCP on 127.0.0.1 only, safe against any kill.

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
    "max_connections": "200",  # a burst of uploads is a burst of functions, each with a connection
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
}
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
# Anybody may create names here: `home_of` checks whose ours are.
_FOR_ALL = Path("/var/tmp")  # noqa: S108 # nosec B108


class Postgres:
    """One server with its data below `home`.

    `fast` gives up durability (for tests); `die_with_parent` ends the server with the process that
    started it, however that ends (Linux; elsewhere call `stop`). `programs` is the folder of Postgres's programs, empty
    for the first that are found.
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
        """DATABASE_URL of the role that owns the database."""
        return self.role.url(HOST, self._running_port())

    @property
    def functions_url(self) -> str:
        """DATABASE_URL of the role that the functions log in with."""
        return provision.functions_url(self.url)

    @property
    def superuser_url(self) -> str:
        return Role("postgres", self._superuser_password()).url(HOST, self._running_port(), "postgres")

    def running(self) -> bool:
        """Whether it accepts connections."""
        return self._daemon.alive() and self._status()[1] == "ready"

    def port(self) -> int | None:
        """The port it accepts connections on, or None."""
        return self._status()[0] if self.running() else None

    def start(self, port: int, timeout: float = 60) -> None:
        """Start it on `port` unless it runs already, create what is missing, return when it is usable."""
        deadline = time.monotonic() + timeout
        while not self.running():
            with self._daemon.claim() as claim:
                if claim is not None:
                    self._launch(claim, port)
            # a claim of somebody else: another start is under way, or the last process of a killed server
            while self._daemon.alive() and not self.running() and time.monotonic() < deadline:
                time.sleep(0.02)
            if claim is not None and not self._daemon.alive():
                raise CloudError(f"Postgres did not start: {self._daemon.last_words()}")
            if time.monotonic() > deadline:
                raise CloudError(f"Postgres is not ready after {timeout:.0f} s: {self._daemon.last_words()}")
        if not provision.is_done(self.url):
            provision.create(self.superuser_url, self.role)

    def stop(self) -> None:
        """Fast shutdown: roll back, write a checkpoint, end."""
        self._daemon.stop(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would, for tests."""
        self._daemon.stop(signal.SIGKILL)

    def incarnation(self) -> str:
        return self._daemon.incarnation()

    def _launch(self, claim: int, port: int) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        programs = binaries.usable_by(self._user, binaries.find(self._made_by(), self._programs), self.home)
        if self._made_by() is None:
            self._initdb(claim, programs)
        # Nobody lives in there, or we would not hold the lock; Postgres itself is fooled by a reused pid.
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
        """The major version that the data belong to; None where there are none yet."""
        try:
            return int((self.data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def _initdb(self, claim: int, programs: Path) -> None:
        """Make the data folder under another name first: half a folder is never taken for a whole one."""
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
        """Port and state as the server itself writes them."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return int(lines[3]), lines[7].strip()
        except (OSError, IndexError, ValueError):
            return None, ""


@contextmanager
def temporary() -> Iterator[Postgres]:
    """A fresh, fast server that is gone afterwards, even if this process is killed (but for a folder)."""
    with temporary_home() as home:
        postgres = Postgres(home, Role.generated(), fast=True, die_with_parent=True)
        try:
            postgres.start(free_port())
            yield postgres
        finally:
            postgres.stop()


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A folder that the server's user can reach: the data folder in it is private all the same."""
    folder = Path(tempfile.mkdtemp(prefix="hireflow-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def home_of(state: Path) -> Path:
    """The server's folder for a state folder: inside it, unless the server's user could not get there."""
    inside = state.resolve() / "postgres"
    if os.geteuid() != 0:
        return inside
    outside = _FOR_ALL / f"hireflow-{sha256(str(inside).encode()).hexdigest()[:16]}"
    if not outside.exists():
        state.mkdir(parents=True, exist_ok=True)
        if binaries.reachable(state.resolve()):
            return inside
        outside.mkdir(mode=0o755)
    if outside.is_symlink() or outside.stat().st_uid != 0:  # anybody may create names there
        raise CloudError(f"{outside} is not ours: remove it")
    return outside


def _unprivileged() -> pwd.struct_passwd | None:
    """Postgres refuses to run as root: the user to run it as instead."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
