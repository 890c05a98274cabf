"""Helps to test upgrades: fills a stage of an earlier release, interrupts its loads, and records what a user can see of
the stage."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from chalicelib.core.datasets import DATASETS
from infra.local.commands import Commands
from infra.local.daemons import Daemon
from infra.local.postgres import home_of
from infra.local.provision import connect
from infra.local.state import State
from tests.e2e.cloud import FINAL, PATIENCE, Cloud, Row, until

LOST = tuple(f"lost/jobs_{number}.csv" for number in range(20))
INTERRUPTED = "interrupted/jobs.csv"
DUE = (*LOST, INTERRUPTED)  # the upgrade interrupts the loads of these files, so they are due after the upgrade
MANY = 60_000  # rows of the interrupted file: its load takes one or two seconds
HELD = 120.0  # seconds to wait at most until the embedded AWS has ended


@dataclass(frozen=True)
class Seen:
    """What a user can see of a stage at one time. If a later state lacks something, data was lost. If something
    differs, work was done again."""

    # The rows of each table, by id. The first value of a row is the id of the transaction that wrote it.
    tables: dict[str, dict[int, tuple[Any, ...]]]
    versions: dict[str, int]  # by dataset; every change of the table increases the number
    loads: dict[int, Row]
    waiting: list[Any]
    reports: list[Any]
    objects: dict[str, dict[str, str]]  # for each bucket: the ETag of each "key version"
    points: list[str]

    @classmethod
    def of(cls, cloud: Cloud) -> "Seen":
        return cls(
            tables={
                name: {row[1]: row for row in cloud.sql(f'SELECT CAST(xmin AS text), t.* FROM "{name}" t')}
                for name in existing(cloud)
            },
            versions=dict(cloud.sql("SELECT dataset, version FROM dataset_state")),
            loads=dict(cloud.sql("SELECT id, to_jsonb(l) FROM loads l")),
            waiting=cloud.sql("SELECT to_jsonb(o) FROM orphans o ORDER BY dataset, id"),
            reports=[
                cloud.get(f"/department/hires/{path}").body for path in ("quarterly/2021", "top/2021", "quarterly/2022")
            ],
            objects={name: objects(cloud, name) for name in ("LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET")},
            points=cloud.restore_points(),
        )


def existing(cloud: Cloud) -> list[str]:
    """Return the datasets that have a table. An earlier release has no tables for later datasets."""
    return [name for name in DATASETS if cloud.sql(f"SELECT to_regclass('\"{name}\"') IS NOT NULL") == [(True,)]]


def objects(cloud: Cloud, bucket: str) -> dict[str, str]:
    pages = cloud.s3.get_paginator("list_object_versions").paginate(Bucket=cloud.env[bucket])
    return {f"{v['Key']} {v['VersionId']}": v["ETag"] for page in pages for v in page.get("Versions", ())}


@dataclass
class Upgrade:
    """A stage before and after the upgrade. `letter` is the body of the message in its dead-letter queue. `point` is
    the restore point that `fill` made last. The schedule may have made newer ones."""

    cloud: Cloud
    earlier_env: Mapping[str, str]
    before: Seen
    tokens: dict[str, str]
    letter: str
    point: str
    # Before the upgrade, `make status` listed these settings as not yet deployed.
    announced: list[str] = field(default_factory=list)
    never_begun: set[str] = field(default_factory=set)  # sources of the files whose events the earlier release lost
    seconds: float = 0.0  # from the end of `up` until the loads of all files in DUE had ended

    @cached_property
    def after(self) -> Seen:
        return Seen.of(self.cloud)

    @property
    def due(self) -> set[str]:
        return {f"s3://{self.cloud.env['LANDING_BUCKET']}/{key}" for key in DUE}


@dataclass(frozen=True)
class Copies:
    """Copies of the folders of a stopped stage, so that several upgrades can start from the same state. `folders` maps
    a folder to its copy."""

    folders: Mapping[Path, Path]

    @classmethod
    def of(cls, state: State, beside: Path) -> "Copies":
        # The folder of Postgres is outside the state folder if the user of Postgres cannot enter the state folder.
        home = home_of(state.folder)
        folders = [state.folder] if state.folder in home.parents else [state.folder, home]
        copies = cls({folder: beside / str(number) for number, folder in enumerate(folders)})
        for folder, copy in copies.folders.items():
            _copy(folder, copy)
        return copies

    def bring_back(self) -> None:
        """Copy the folders back. The stage must have been deleted before."""
        for folder, copy in self.folders.items():
            _copy(copy, folder)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    # `cp -a` also keeps the owners, which shutil does not copy.
    subprocess.run(["cp", "-a", source, target], check=True)


@dataclass(frozen=True)
class Filled:
    """A stopped stage that has data. `tokens` are its tokens by role, `letter` is the body of its dead letter, `point`
    is the restore point that `fill` made last, and `copies` are the copies of its folders."""

    commands: Commands
    tokens: dict[str, str]
    letter: str
    point: str
    copies: Copies


def make_outdated(state: State) -> None:
    """Mark the running embedded AWS as started from other code, so that `make up` starts a new process.

    This simulates a release that changes the code of the embedded AWS. The events in the old process are then lost.
    """
    started = state.folder / "aws" / "started.json"
    started.write_text(json.dumps({**json.loads(started.read_text()), "code": "of an earlier release"}))


def make_tokens(cloud: Cloud) -> dict[str, str]:
    """Return a token of each role, and a revoked token, by name."""

    def new_token(role: str) -> str:
        return str(cloud.commands.invoke("tokens", {"action": "create", "role": role, "note": "made before"})["token"])

    tokens = {"operator": cloud.env["API_TOKEN"], "reader": new_token("reader"), "writer": new_token("writer")}
    tokens["revoked"] = new_token("operator")
    cloud.commands.invoke("tokens", {"action": "revoke", "token": tokens["revoked"]})
    return tokens


def fill(cloud: Cloud) -> str:
    """Fill a stage with every kind of data, with files and with requests. Return the body of the dead letter that is
    among them."""
    departments = [{"id": 1, "department": "Sales"}, {"id": 2, "department": "Ops"}, {"id": "x", "department": "None"}]
    assert cloud.post("/department/upload/batch", {"data": departments}).body["inserted"] == 2
    assert cloud.post("/department/upload", {"department": "Given an id"}).status == 201
    assert cloud.upload("jobs.csv", "1,Clerk\n2,Smith\n,Nobody\n")["rejected"] == 1
    hires = "1,Ann,2021-07-27T16:02:08Z,1,1\n2,Bo,2021-02-01,2,2\n3,Cy,2021-02-01,777,1\nx,,,,\n"
    # One of the two rejected rows waits for its department.
    assert cloud.upload("2021/hired_employees.csv", hires)["rejected"] == 2
    first = cloud.backup()
    # The next file is a new version of the same key.
    assert cloud.upload("2021/hired_employees.csv", "2,Bo Renamed,2022-02-01,2,2\n")["updated"] == 1
    assert cloud.post("/department/upload", {"id": 2, "department": "Changed since"}).body["outcome"] == "updated"
    assert cloud.backup() != first
    assert cloud.restore("department", first)["updated"] == 1
    assert cloud.upload("notes.txt", "nothing to load")["status"] == "failed"
    form = {"dataset": "jobs", "filename": "jobs.csv", "size": 100}
    assert cloud.post("/uploads", form).status == 201  # the load is announced, but its file never comes
    cloud.queue("send_message", MessageBody='{"requestPayload": {"Records": []}}')
    return '{"requestPayload": {"Records": []}}'


def begin_loads(cloud: Cloud) -> None:
    """Put all files in DUE: first the large file. When its load has begun, put the other files."""
    rows = "".join(f"{1000 + number},Job {number}\n" for number in range(MANY))
    source = cloud.put(INTERRUPTED, rows)
    until(lambda: cloud.sql(f"SELECT 1 FROM loads WHERE source = '{source}' AND status = 'running'"), source)
    for number, key in enumerate(LOST):
        cloud.put(key, f"{100 + number},Job of {key}\n,{key}\n")


@contextmanager
def interrupted(cloud: Cloud) -> Iterator[set[str]]:
    """Lock the table of jobs until the running embedded AWS has ended, and begin loads of jobs. The loads cannot commit
    while the lock exists. The caller has to end the embedded AWS.

    Yield an empty set. At the end of the `with` block, the set is filled with the sources of the files that have no
    load. The events of these files are lost.
    """
    aws, locked, lost = Daemon(cloud.commands.state.folder / "aws", "aws"), threading.Event(), set[str]()
    running = aws.pid()

    def hold() -> None:
        with jobs_locked(cloud):
            locked.set()
            until(lambda: aws.pid() != running, "the end of the embedded AWS", HELD)
            with_loads = {source for (source,) in cloud.sql("SELECT source FROM loads")}
        lost.update({f"s3://{cloud.env['LANDING_BUCKET']}/{key}" for key in LOST} - with_loads)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(HELD)
        begin_loads(cloud)
        yield lost
    finally:
        holder.join()


@contextmanager
def jobs_locked(cloud: Cloud) -> Iterator[None]:
    with closing(connect(cloud.env["DATABASE_URL"])) as connection:
        connection.run("BEGIN")
        connection.run("LOCK TABLE jobs IN SHARE MODE")
        yield
        connection.run("ROLLBACK")


def rest(upgrade: Upgrade) -> float:
    """Wait at most PATIENCE seconds for the loads of all files in DUE to end. Return how many seconds it waited."""
    return rest_of(upgrade.cloud)


def rest_of(cloud: Cloud) -> float:
    """Do the same for a stage."""
    due = {f"s3://{cloud.env['LANDING_BUCKET']}/{key}" for key in DUE}
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        over = cloud.sql(f"SELECT source FROM loads WHERE status IN {FINAL}")
        if due <= {source for (source,) in over}:
            break
        time.sleep(0.1)
    return time.monotonic() - began
