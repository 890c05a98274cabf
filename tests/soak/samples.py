"""Measures a stage from outside: memory, descriptors, connections, tables, catalogs, buckets and folders."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.deploy.target import bucket_names
from infra.local.daemons import Daemon
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role, connect
from infra.local.state import State
from tests.soak.judge import Sample

_MB = 1024 * 1024
_TABLES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'staging%'
"""
_CATALOGS = """
    SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace
"""
_STAGING = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '%staging%'"
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


class Sampler:
    """Measures one stage. Sizes are in MB."""

    def __init__(self, state: State) -> None:
        self._folder = state.folder
        self._aws, self._server = Daemon(self._folder / "aws", "aws"), Daemon(home_of(self._folder), "postgres")
        self._connection = connect(
            Postgres(home_of(self._folder), Role("", "")).superuser_url.rsplit("/", 1)[0] + "/hireflow"
        )
        self._buckets = bucket_names("local")

    def sample(self) -> Sample:
        return {**self._processes(), **self._database(), **self._files()}

    def close(self) -> None:
        self._connection.close()

    def _processes(self) -> dict[str, float]:
        aws, server = self._aws.pid() or 0, self._server.pid() or 0
        rows = list(_processes())
        children = {pid: size for pid, parent, size in rows if parent == aws}
        workers = children | {pid: size for pid, parent, size in rows if parent in children}
        return {
            "memory of the embedded AWS": next((size for pid, _, size in rows if pid == aws), 0.0),
            "memory of all workers": sum(workers.values()),
            "workers": len(workers),
            "memory of the largest backend of Postgres": max(
                (s for _, parent, s in rows if parent == server), default=0.0
            ),
            "descriptors of the embedded AWS": _descriptors(aws),
            "threads of the embedded AWS": len(_listed(Path(f"/proc/{aws}/task"))),
            "descriptors of all workers": sum(map(_descriptors, workers)),
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
        buckets = {bucket: name.removesuffix("_BUCKET").lower() for name, bucket in self._buckets.items()}
        for path, length in _sizes(self._folder):
            parts = path.relative_to(self._folder).parts
            bucket = next((buckets[part] for part in parts if part in buckets), "")
            place = f"bucket {bucket}" if bucket else "log of transactions (WAL)" if "pg_wal" in parts else ""
            place = (
                place or f"folder {'/'.join(parts[:2])}"
                if len(parts) > 1 and not place
                else place or f"file {parts[0]}"
            )
            size[place] += length
            objects[place] += 1
        places = {place: total / _MB for place, total in size.items()}
        return {**places, **{f"objects in {place}": objects[place] for place in size if place.startswith("bucket")}}


def _processes() -> Iterator[tuple[int, int, float]]:
    """Yield the id, the parent's id and the resident memory in MB of every process."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, parent, size = map(int, line.split())
        yield pid, parent, size / 1024


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
