"""Deploys a stage for the measurements under load, as `make up` does, but with one additional route."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from bench.callers import Connection, Request
from bench.data import Shape, employees
from infra.deploy.target import queue_names
from infra.local.commands import Commands
from infra.local.provision import connect
from infra.local.state import State
from infra.venv import ROOT

CONSTANT = """

ROW = '{"department":"Department 7","job":"Job 77","q1":1,"q2":0,"q3":12,"q4":3},'  # like a row of a report


@app.route("/constant/{size}")
@access.public
def constant(size: str) -> Any:
    from chalice.app import Response

    rows = ROW * (int(size) // len(ROW))
    return Response("[" + rows[:-1] + "]", headers={"Content-Type": "application/json"})
"""
_STAGE = ROOT / ".local-load"  # always the same folder, so that a run can delete what a killed run has left
_SENDERS = 32  # connections over which files are sent
_LONGEST = 600.0  # seconds after which the measurement no longer waits for the loads of files
_POLL = 0.1  # seconds; a shorter pause would take a noticeable part of the processors from the loads
_LOADED = """
    SELECT count(*), coalesce(extract(epoch FROM max(finished_at)), 0) FROM loads
    WHERE source LIKE '%/{folder}/%' AND status = 'succeeded'
"""
_HOLDERS = """
    SELECT pid FROM pg_locks WHERE relation = '{table}'::regclass AND mode = 'ShareRowExclusiveLock' AND granted
"""
_PARENTS = """
    INSERT INTO departments SELECT i, 'Department ' || i FROM generate_series(1, {departments}) i;
    INSERT INTO jobs SELECT i, 'Job ' || i FROM generate_series(1, {jobs}) i
"""


def with_constant(folder: Path) -> Path:
    """Copy the product to a folder, and add a route that returns constant rows of a given size. Return the folder."""
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".chalice", folder / ".chalice", ignore=shutil.ignore_patterns("deploy*"))
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    Path(folder, "app.py").write_text((ROOT / "app.py").read_text() + CONSTANT)
    return folder


@dataclass
class Files:
    """How many files were sent, how many of them were loaded, and the seconds until the last load ended."""

    sent: int
    loaded: int
    seconds: float


@dataclass
class Stage:
    """The deployed stage."""

    commands: Commands
    _folders: int = field(default=0)

    def __post_init__(self) -> None:
        self.env = self.commands.read_env()
        self.database = connect(self.env["DATABASE_URL"])

    @property
    def url(self) -> str:
        return self.env["API_URL"]

    def sql(self, statement: str) -> list[list[Any]]:
        return self.database.run(statement) or []

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=self.env["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}) if service == "s3" else None,
        )

    def restart(self) -> None:
        """Stop the whole stage and start it again, so that it is cold."""
        self.database.close()
        self.commands.down()
        self.commands.up()
        self.__post_init__()

    def dead_letters(self) -> int:
        """Return the number of messages in the dead-letter queue."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue_names(self.commands.stage)["DEAD_LETTER_QUEUE"])["QueueUrl"]
        wanted = ["ApproximateNumberOfMessages"]
        return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"][wanted[0]])

    def signed(self, bodies: Sequence[bytes], dataset: str = "hired_employees") -> list[Request]:
        """Return requests that send files to a new folder of the landing bucket. Each request has the name of the
        folder. The requests are signed now, and not during a measurement."""
        s3, requests = self.client("s3"), []
        self._folders += 1
        folder = f"load-{self._folders}"
        for number, body in enumerate(bodies):
            about = {"Bucket": self.env["LANDING_BUCKET"], "Key": f"{folder}/{dataset}_{number}.csv"}
            link = urlsplit(s3.generate_presigned_url("put_object", about))
            requests.append(Request(folder, "PUT", f"{link.path}?{link.query}", body, ""))
        return requests

    def fill(self, rows: int) -> None:
        """Fill the tables of an empty stage."""
        self.sql(_PARENTS.format(departments=Shape().departments, jobs=Shape().jobs))
        assert self.load([employees(rows).file]).loaded == 1

    def longest_lock(self, table: str, done: Callable[[], bool]) -> float:
        """Return the longest time in seconds for which one transaction held the lock of writers of a table, until
        `done` returns true."""
        longest, holder, since = 0.0, None, 0.0
        with closing(connect(self.env["DATABASE_URL"])) as connection:
            while not done():
                now, rows = time.perf_counter(), connection.run(_HOLDERS.format(table=table)) or []
                pid = rows[0][0] if rows else None
                if pid != holder:
                    holder, since = pid, now
                longest = max(longest, time.perf_counter() - since if pid else 0.0)
                time.sleep(0.01)
        return longest

    def load(self, bodies: Sequence[bytes]) -> Files:
        """Send files, and wait until all of them are loaded. See `loading`."""
        return asyncio.run(self.loading(self.signed(bodies)))

    async def loading(self, requests: Sequence[Request], longest: float = _LONGEST) -> Files:
        """Send files over _SENDERS connections, and wait until all of them are loaded, or until `longest` seconds are
        over."""
        start, waiting = time.time(), list(reversed(requests))

        async def sender() -> None:
            connection = Connection(urlsplit(self.env["AWS_ENDPOINT_URL"]).netloc, _LONGEST)
            while waiting:
                status, body, _ = await connection.send(waiting.pop())
                assert status == 200, body
            connection.close()

        await asyncio.gather(*(sender() for _ in range(min(_SENDERS, len(requests)))))
        statement, loaded, ended = _LOADED.format(folder=requests[0].name), 0, start
        while loaded < len(requests) and time.time() - start < longest:
            await asyncio.sleep(_POLL)
            [[loaded, ended]] = await asyncio.to_thread(self.sql, statement)
        return Files(len(requests), loaded, float(ended) - start)


@contextmanager
def stage() -> Iterator[Stage]:
    """Deploy a stage with the additional route, and delete it afterwards. Its settings are the defaults."""
    state = State(_STAGE)
    source = _STAGE.with_name(f"{_STAGE.name}-source")
    commands = Commands("local", source, state, lambda _: None, env={})
    commands.clean()
    shutil.rmtree(source, ignore_errors=True)
    with_constant(source)
    try:
        commands.up()
        running = Stage(commands)
        try:
            yield running
        finally:
            running.database.close()
    finally:
        commands.clean()
        shutil.rmtree(source)
