"""Makes Postgres servers that refuse requests because of real faults."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from infra.local import provision
from infra.local.postgres import Postgres, temporary_home, temporary_in
from infra.local.provision import DATABASE, Role, connect

_SIZE = 160  # MB of the small disk; an empty database takes about half of it


@contextmanager
def read_only(postgres: Postgres) -> Iterator[None]:
    """Make new transactions read-only, as on a standby."""
    with closing(connect(postgres.superuser_url)) as admin:
        admin.run(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on")
        try:
            yield
        finally:
            admin.run(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only")


@contextmanager
def without_room(postgres: Postgres, role: Role) -> Iterator[None]:
    """Let the server refuse all new connections of a role, as if the role had too many."""
    provision.limit_connections(postgres.superuser_url, role, 0)
    try:
        yield
    finally:
        provision.limit_connections(postgres.superuser_url, role, -1)


@contextmanager
def on_a_small_disk() -> Iterator[Postgres]:
    """Yield a server whose data are on a small disk. Skip the test if this user may not mount one."""
    with temporary_home() as home:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}m,mode=0755", "tmpfs", str(home)]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a file system")
        try:
            with temporary_in(home) as postgres:
                yield postgres
        finally:
            subprocess.run(["umount", "--lazy", str(home)], check=True)


def fill(disk: Path) -> Path:
    """Write a file that takes all free space of a disk, and return its path."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError:
            return path
