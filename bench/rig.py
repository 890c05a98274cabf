"""The rig (the test stand) of the measurements: one Postgres, one S3, a worker process with the product's functions,
and psql."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import boto3

from bench.data import Employees, Shape, parents
from chalicelib.migrations.migrate import upgrade
from infra.deploy.target import bucket_names, queue_names
from infra.local import binaries
from infra.local.cloud import Embedded, Services
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role, connect
from infra.local.state import State
from infra.settings.chosen import choose
from infra.venv import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BUCKETS = bucket_names("bench")  # these buckets trigger no function, so only the worker runs functions
_LIMITS = """
    DROP SCHEMA IF EXISTS limits CASCADE; CREATE SCHEMA limits;
    CREATE TABLE limits.departments (LIKE public.departments INCLUDING ALL);
    CREATE TABLE limits.jobs (LIKE public.jobs INCLUDING ALL);
    CREATE TABLE limits.pk (LIKE public.hired_employees INCLUDING ALL);
    CREATE TABLE limits.pk_fk (LIKE public.hired_employees INCLUDING ALL,
        FOREIGN KEY (department_id) REFERENCES limits.departments (id),
        FOREIGN KEY (job_id) REFERENCES limits.jobs (id));
"""

_FILLED = 1_000_000  # rows of one INSERT; the triggers of a statement keep all its rows in memory
_FILL = """
    SET session_replication_role = replica;
    INSERT INTO hired_employees
    SELECT i, 'Ada Lund', timestamptz '2021-01-01Z' + (i % 63000000) * interval '1 second', 1 + i % 12, 1 + i % 183
    FROM generate_series({first}, {last}) AS i
"""


class Worker:
    """A separate process that runs the product's functions, with the code of the checkout `root`."""

    def __init__(self, env: Mapping[str, str], root: Path = ROOT) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            cwd=root,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, function: str, event: Any) -> dict[str, Any]:
        """Run a function with an event. Return {"seconds", "peak", "result"}. bench/worker.py says what these are."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"function": function, "event": event}) + "\n")
        self._process.stdin.flush()
        response = self._process.stdout.readline()
        if not response:
            raise RuntimeError(f"the worker crashed while it ran {function}")
        return dict(json.loads(response))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass
class Rig:
    """The running services, and the operations that the measurements use. psql and pg_dump read and write files in
    `folder`. The product's functions have the code of the checkout `root`."""

    services: Services
    superuser_url: str
    folder: Path
    root: Path = ROOT
    _sequence: int = 0
    _worker: Worker | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.url = self.services.database_url
        self.s3: S3Client = boto3.client(
            "s3",
            endpoint_url=self.services.aws["AWS_ENDPOINT_URL"],
            region_name=self.services.aws["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.services.aws["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.services.aws["AWS_SECRET_ACCESS_KEY"],
        )
        self.programs = binaries.find()
        self._url = urlsplit(self.url)

    # --- the database

    def sql(self, statement: str, url: str | None = None) -> list[list[Any]]:
        with closing(connect(url or self.url)) as connection:
            connection.sock_timeout = None
            return connection.run(statement) or []

    def scalar(self, statement: str) -> Any:
        return self.sql(statement)[0][0]

    def psql(self, *commands: str) -> float:
        """Run commands with psql. Return the seconds that they took, including the start of psql."""
        words = [word for command in commands for word in ("-c", command)]
        return self.run("psql", "-qX", "-v", "ON_ERROR_STOP=1", *words)

    def run(self, program: str, *arguments: str) -> float:
        """Run a program of Postgres, such as pg_dump, on the product's database. Return the seconds that it took."""
        env = {
            "PATH": os.defpath,
            "PGHOST": self._url.hostname or "",
            "PGPORT": str(self._url.port),
            "PGUSER": unquote(self._url.username or ""),
            "PGPASSWORD": unquote(self._url.password or ""),
            "PGDATABASE": self._url.path.lstrip("/"),
        }
        start = time.perf_counter()
        subprocess.run([self.programs / program, *arguments], env=env, check=True, capture_output=True)
        return time.perf_counter() - start

    def settle(self) -> None:
        """Write a checkpoint, so that the next measurement does not wait for writes of an earlier measurement."""
        self.sql("CHECKPOINT", self.superuser_url)

    def checksum(self, table: str) -> tuple[int, int]:
        """Return the number of rows, and a checksum of the rows that does not depend on their order."""
        [[rows, total]] = self.sql(f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t")
        return int(rows), int(total)

    def reset(self, shape: Shape) -> None:
        """Empty all tables of the product and of the limits. Then fill the tables of departments and jobs."""
        self.sql("TRUNCATE departments, jobs, hired_employees, orphans CASCADE")
        self.sql("TRUNCATE limits.departments, limits.jobs, limits.pk, limits.pk_fk")
        for table, count, word in (("departments", shape.departments, "Department"), ("jobs", shape.jobs, "Job")):
            path = self.folder / f"{table}.csv"
            path.write_bytes(parents(count, word))
            self.psql(f"\\copy {table} FROM '{path}' CSV", f"\\copy limits.{table} FROM '{path}' CSV")
        self.sql("VACUUM ANALYZE departments, jobs, limits.departments, limits.jobs")

    def fill(self, rows: int) -> None:
        """Fill hired_employees with the ids from 1 to `rows`, with SQL. To load a file with so many rows would take
        longer."""
        self.reset(Shape())
        for first in range(1, rows + 1, _FILLED):
            self.sql(_FILL.format(first=first, last=min(first + _FILLED - 1, rows)))
        self.sql("VACUUM ANALYZE hired_employees")

    # --- the product's functions

    @property
    def environment(self) -> dict[str, str]:
        settings = {"DATABASE_URL": self.url, "DATABASE_TLS": "disable", "HIREFLOW_AUTH": "off", "LOG_LEVEL": "ERROR"}
        return {**self.services.aws, **_BUCKETS, **queue_names("bench"), **settings}

    @property
    def worker(self) -> Worker:
        """Return the worker process that most measurements share. This process has usually loaded the code already."""
        if self._worker is None:
            self._worker = Worker(self.environment, self.root)
        return self._worker

    def put(self, key: str, body: bytes) -> dict[str, Any]:
        """Put a new object into the landing bucket. Return the event of this object. The event does not reach a
        function by itself: pass it to `Worker.call`."""
        bucket = _BUCKETS["LANDING_BUCKET"]
        self._sequence += 1
        response = self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        return self.event(key, response["VersionId"])

    def event(self, key: str, version: str) -> dict[str, Any]:
        self._sequence += 1
        item = {"key": key, "versionId": version, "sequencer": f"{self._sequence:016X}"}
        return {"Records": [{"s3": {"bucket": {"name": _BUCKETS["LANDING_BUCKET"]}, "object": item}}]}

    def arrived(self, key: str) -> dict[str, Any]:
        """Return the event of an object that the product, not a client, has put into the landing bucket."""
        head = self.s3.head_object(Bucket=_BUCKETS["LANDING_BUCKET"], Key=key)
        return self.event(key, head["VersionId"])

    def ingest(self, body: bytes, worker: Worker | None = None, key: str = "hired_employees.csv") -> dict[str, Any]:
        """Load a file with the function `ingest` of the product. Return the result of `Worker.call`, with the load as
        an additional member "load"."""
        event = self.put(key, body)
        self.settle()
        response = (worker or self.worker).call("ingest", event)
        return {**response, "load": self.newest_load()}

    def scheduled(self, function: str) -> dict[str, Any]:
        """Run a function with the kind of event that a schedule sends."""
        names = ("version", "account", "region", "detail", "detail-type", "source", "time", "id")
        return self.worker.call(function, dict.fromkeys(names, "") | {"detail": {}, "resources": []})

    @contextmanager
    def without_right(self) -> Iterator[None]:
        """Take the right to switch off foreign-key triggers from the product's Postgres role, during the `with`
        block."""
        user = unquote(self._url.username or "")
        right = "SET ON PARAMETER session_replication_role"
        self.sql(f"REVOKE {right} FROM {user}", self.superuser_url)
        try:
            yield
        finally:
            self.sql(f"GRANT {right} TO {user}", self.superuser_url)

    def newest_load(self) -> dict[str, Any]:
        names = ("status", "received", "inserted", "updated", "unchanged", "superseded", "rejected", "error")
        [row] = self.sql(f"SELECT {', '.join(names)} FROM loads ORDER BY id DESC LIMIT 1")
        return dict(zip(names, row, strict=True))

    def copy(self, table: str, data: Employees) -> float:
        """Measure a limit: load the valid rows into an empty table with `\\copy`. Return the seconds that this took."""
        path = self.folder / "valid.csv"
        path.write_bytes(data.valid)
        self.sql(f"TRUNCATE {table}")
        self.settle()
        return self.psql(f"\\copy {table} FROM '{path}' CSV")

    def api(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Run the API's function with a request. The event has the form that API Gateway gives to requests."""
        resource, parameters = path, {}
        for route, name in (("/department/hires/quarterly/", "year"), ("/department/hires/top/", "year")):
            if path.startswith(route):
                resource, parameters = f"{route}{{{name}}}", {name: path.removeprefix(route)}
        event = {
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "headers": {"content-type": "application/json"},
            "multiValueQueryStringParameters": None,
            "pathParameters": parameters,
            "stageVariables": None,
            "requestContext": {"httpMethod": method, "resourcePath": resource, "path": path},
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }
        return self.worker.call("api_handler", event)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


@contextmanager
def rig() -> Iterator[Rig]:
    """Start a rig in the folder `.local-bench`. Afterwards stop the rig and delete the folder."""
    state = State(ROOT / ".local-bench")
    with state.turn():
        cloud = Embedded(state)
        try:
            services = cloud.up(lambda _: None, choose("local", {}, {}))
            postgres = Postgres(home_of(state.folder), Role("", ""))
            upgrade(services.database_url, tls="disable")
            running = Rig(services, postgres.superuser_url, state.folder)
            # The measurements fill and empty tables all the time. Automatic vacuums would make some measurements slower
            # at random.
            running.sql("ALTER SYSTEM SET autovacuum = off", running.superuser_url)
            running.sql("SELECT pg_reload_conf()", running.superuser_url)
            for bucket in _BUCKETS.values():
                running.s3.create_bucket(Bucket=bucket)
            versioned: Any = {"Status": "Enabled"}
            running.s3.put_bucket_versioning(Bucket=_BUCKETS["LANDING_BUCKET"], VersioningConfiguration=versioned)
            running.sql(_LIMITS)
            try:
                yield running
            finally:
                running.close()
        finally:
            cloud.clean(lambda _: None)
            state.delete()
