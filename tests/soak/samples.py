"""Measures a stage from outside: memory, descriptors, connections, tables, catalogs, buckets and folders."""

import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.deploy.target import bucket_names
from infra.local.daemons import Daemon
from infra.local.postgres import home_of
from infra.local.provision import connect
from infra.local.state import State
from tests.soak.judge import Sample

_MB = 1024 * 1024
_BUCKETS = {bucket: name.removesuffix("_BUCKET").lower() for name, bucket in bucket_names("local").items()}
_TABLES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'staging%'
"""
_CATALOGS = """
    SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace
"""
_STAGING = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '%staging%'"
# To the database owner, pg_stat_activity shows the database of every connection, but the kind of only its own ones.
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


class Sampler:
    """Measures one stage. Sizes are in MB."""

    def __init__(self, state: State) -> None:
        self._folder = state.folder
        self._aws, self._server = Daemon(self._folder / "aws", "aws"), Daemon(home_of(self._folder), "postgres")
        self._connection = connect(state.read_env()["DATABASE_URL"])

    def sample(self) -> Sample:
        return {**self._processes(), **self._database(), **self._files()}

    def close(self) -> None:
        self._connection.close()

    def _processes(self) -> dict[str, float]:
        aws, server = self._aws.pid() or 0, self._server.pid() or 0
        rows = list(_processes())
        children = {pid: size for pid, parent, size in rows if parent == aws}
        workers = children | {pid: size for pid, parent, size in rows if parent in children}
        opened = [_descriptors(worker) for worker in workers]
        backends = [own_memory(pid, size) for pid, parent, size in rows if parent == server]
        return {
            "memory of the embedded AWS": next((size for pid, _, size in rows if pid == aws), 0.0),
            "memory of the largest worker": max(workers.values(), default=0.0),
            "memory of a worker on average": sum(workers.values()) / max(len(workers), 1),
            "workers": len(workers),
            "memory of the largest backend of Postgres": max(backends, default=0.0),
            "descriptors of the embedded AWS": _descriptors(aws),
            "threads of the embedded AWS": len(_listed(Path(f"/proc/{aws}/task"))),
            # The sum would also grow when a worker starts, or when a worker opens its first connections.
            "descriptors of the worker with the most": max(opened, default=0),
            "descriptors of a worker on average": sum(opened) / max(len(opened), 1),
        }

    def _database(self) -> dict[str, float]:
        def value(statement: str) -> float:
            rows: Any = self._connection.run(statement)
            return float(rows[0][0])

        tables = {f"table {name}": size / _MB for name, size in self._connection.run(_TABLES) or []}
        return {
            **tables,
            "system catalogs": value(_CATALOGS) / _MB,
            "staging tables": value(_STAGING),
            "connections to Postgres": value(_CONNECTIONS),
        }

    def _files(self) -> dict[str, float]:
        objects, size = Counter[str](), Counter[str]()
        for path, length in _sizes(self._folder):
            place = _place(path.relative_to(self._folder).parts)
            size[place] += length
            objects[place] += 1
        numbers = {f"objects in {place}": float(objects[place]) for place in size if place.startswith("bucket")}
        return {**{place: total / _MB for place, total in size.items()}, **numbers}


def _place(parts: Sequence[str]) -> str:
    """Return the name under which the size of a file counts. `parts` is its path in the state folder."""
    for part in parts:
        if part in _BUCKETS:
            return f"bucket {_BUCKETS[part]}"
    if "pg_wal" in parts:
        return "folder pg_wal"
    return (
        f"file {parts[-1]}"
        if parts[-1].endswith(".log")
        else f"folder {parts[0]}, the rest"
        if len(parts) > 1
        else "files of the stage"
    )


def _processes() -> Iterator[tuple[int, int, float]]:
    """Yield the id, the parent's id and the resident memory in MB of every process."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, parent, size = map(int, line.split())
        yield pid, parent, size / 1024


def own_memory(pid: int, resident: float) -> float:
    """Return the memory in MB that a process does not share with others. `resident` is its resident memory, which is
    the result on a system without /proc.

    All processes of Postgres share its buffers, and use more of them over time.
    """
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return resident


def _descriptors(pid: int) -> int:
    return len(_listed(Path(f"/proc/{pid}/fd")))


def _listed(folder: Path) -> list[Path]:
    """Return the entries of a folder, or an empty list if it is gone."""
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def _sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield all files below a folder with their sizes. Files that disappear meanwhile are left out."""
    for entry in _listed(folder):
        with suppress(OSError):
            if entry.is_symlink():
                continue
            if entry.is_dir():
                yield from _sizes(entry)
            else:
                yield entry, entry.stat().st_blocks * 512
