"""Gives the tests access to a deployed stage: to its API, its three buckets and its functions. SQL prepares and reads
the tables."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from localstack_client.session import Session

from infra.deploy.policies import deployed_name
from infra.deploy.target import APP, queue_names
from infra.local.commands import Commands
from infra.local.daemons import Daemon
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role, connect
from tests.openapi import described
from tests.processes import workers_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Row = dict[str, Any]
Found = TypeVar("Found")
PATIENCE = 90  # seconds that a test waits at most for anything; a first invocation on a busy machine is slow
FINAL = ("succeeded", "failed", "skipped")
COUNTS = ("received", "inserted", "updated", "unchanged", "superseded", "rejected")


@dataclass
class Response:
    """A response of the API. `body` is the parsed JSON, or None if the body is empty."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Cloud:
    """One deployed stage.

    `backups` are the names of the restore points that existed before the tests, and of those that the tests have made.
    `documented` says whether the responses must match the OpenAPI document of this checkout.
    """

    commands: Commands
    env: Mapping[str, str]
    backups: list[str] = field(default_factory=list)
    documented: bool = True

    def __post_init__(self) -> None:
        with pytest.MonkeyPatch.context() as patch:  # `Session` reads the endpoint from the environment
            patch.setenv("AWS_ENDPOINT_URL", self.env["AWS_ENDPOINT_URL"])
            session = Session(
                aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
                region_name=self.env["AWS_DEFAULT_REGION"],
            )
        patient = Config(read_timeout=PATIENCE, s3={"addressing_style": "path"})
        self.s3: S3Client = session.client("s3", config=patient)
        self._functions = session.client("lambda", config=patient)
        self._events = session.client("events", config=patient)
        self._sqs = session.client("sqs", config=patient)
        self._logs = session.client("logs", config=patient)

    # --- HTTP

    def get(self, path: str) -> Response:
        return self.send("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Response:
        """Send `body` with POST: bytes unchanged, and every other type as JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.send("POST", path, data, {"Content-Type": "application/json", **headers})

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        token = {"Authorization": f"Bearer {self.env['API_TOKEN']}"} if self.env["API_TOKEN"] else {}
        request = urllib.request.Request(self.env["API_URL"] + path, body, {**token, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as received:
                response = _response(received)
        except urllib.error.HTTPError as error:
            with error:
                response = _response(error)
        if self.documented and described().operation(method, path) is not None:
            described().check(method, path, response.status, response.headers, response.body)
        return response

    # --- landing and errored bucket

    def put(self, key: str, body: bytes | str, metadata: Mapping[str, str] | None = None) -> str:
        """Upload a file to the landing bucket. Return the source (the s3:// URL) that its load will have."""
        data = body.encode() if isinstance(body, str) else body
        self.s3.put_object(Bucket=self.env["LANDING_BUCKET"], Key=key, Body=data, Metadata=metadata or {})
        return f"s3://{self.env['LANDING_BUCKET']}/{key}"

    def upload(self, key: str, body: bytes | str, metadata: Mapping[str, str] | None = None) -> Row:
        """Upload a file to the landing bucket, and wait until its load has ended. Return the load."""
        before = self.newest_load()
        return self.ended(self.put(key, body, metadata), before)

    def ended(self, source: str, before: int) -> Row:
        """Wait for a load of the source that has ended, and whose id is larger than `before`. Return this load."""
        return until(
            lambda: next((load for load in self.loads(source, before) if load["status"] in FINAL), None),
            f"the end of the load of {source}",
        )

    def loads(self, source: str, after: int) -> list[Row]:
        """Return the loads of a source, the newest first. Their ids are larger than `after`."""
        recent = self.get("/loads?limit=100").body["loads"]
        return [load for load in recent if load["source"] == source and load["id"] > after]

    def load(self, load_id: int) -> Row:
        response = self.get(f"/loads/{load_id}")
        assert response.status == 200
        return dict(response.body)

    def newest_load(self) -> int:
        """Return the id of the newest load, or 0 if there is none."""
        return max((load["id"] for load in self.get("/loads?limit=1").body["loads"]), default=0)

    def reject_file(self, load: Row) -> bytes:
        """Return the content of a load's reject file (NDJSON), or an empty text if the load has no reject file."""
        if load["errored_key"] is None:
            return b""
        return self.s3.get_object(Bucket=self.env["ERRORED_BUCKET"], Key=load["errored_key"])["Body"].read()

    def rejects(self, load: Row) -> list[Row]:
        return [json.loads(line) for line in self.reject_file(load).splitlines()]

    # --- backups and restores

    def backup(self) -> str:
        """Make a backup, as `make backup` does. Return the name of the restore point."""
        point = until(lambda: self.commands.invoke("backup")["restore_point"], "a backup")
        self.backups.append(point)
        return str(point)

    def restore(self, route: str, restore_point: str | None = None) -> Row:
        """Request a restore, and wait until its load has ended. Return the load."""
        response = self.post(f"/{route}/backup/restore", {"restore_point": restore_point} if restore_point else None)
        assert response.status == 202, response.body
        return self.followed(response.body["status_url"])

    def followed(self, status_url: str) -> Row:
        """Wait until the load at this URL has ended. Return the load."""

        def ended() -> Row | None:
            load: Row = self.get(status_url).body
            return load if load["status"] in FINAL else None

        return until(ended, f"the end of the load at {status_url}")

    def restore_points(self) -> list[str]:
        return [backup["restore_point"] for backup in self.get("/backups").body["backups"]]

    # --- functions and tables

    def invoke(self, function: str, event: Any) -> Any:
        """Invoke a deployed function with an event. Return its result."""
        stage = self.commands.stage
        response = self._functions.invoke(FunctionName=f"{APP}-{stage}-{function}", Payload=json.dumps(event).encode())
        body = response["Payload"].read()
        assert "FunctionError" not in response, body
        return json.loads(body or b"null")

    def functions(self) -> list[str]:
        """Return the names of all functions on the services of this stage."""
        pages = self._functions.get_paginator("list_functions").paginate()
        return sorted(one["FunctionName"] for page in pages for one in page["Functions"])

    @contextmanager
    def reconfigured(self, function: str, *, timeout: int, **env: str) -> Iterator[None]:
        """Give the function this timeout (in seconds) and these additional environment variables, during the `with`
        block."""
        name = f"{APP}-{self.commands.stage}-{function}"
        configuration = self._functions.get_function_configuration(FunctionName=name)
        usual = configuration["Environment"]["Variables"]
        self._functions.update_function_configuration(
            FunctionName=name, Timeout=timeout, Environment={"Variables": {**usual, **env}}
        )
        try:
            yield
        finally:
            self._functions.update_function_configuration(
                FunctionName=name, Timeout=configuration["Timeout"], Environment={"Variables": usual}
            )

    def workers(self, function: str) -> list[int]:
        """Return the process ids of the workers of a function. Works only with an embedded cloud."""
        aws = Daemon(self.commands.state.folder / "aws", "aws").pid()
        return [pid for pid, name in workers_of(aws) if name == deployed_name(self.commands.stage, function)]

    def redrive(self) -> Row:
        """Offer the dead letters again, as `make redrive` does."""
        return dict(self.commands.invoke("redrive"))

    def dead_letters(self) -> int:
        return int(self.get("/health").body["dead_letters"])

    def queue(self, call: str, **arguments: Any) -> Row:
        """Call an operation of SQS on the dead-letter queue."""
        url = self._sqs.get_queue_url(QueueName=queue_names(self.commands.stage)["DEAD_LETTER_QUEUE"])["QueueUrl"]
        return dict(getattr(self._sqs, call)(QueueUrl=url, **arguments))

    def lines(self, function: str, since: float, **about: Any) -> list[Row]:
        """Return the log lines with these fields that a function has written since a time (of time.time()).

        The name of the API's function is "api".
        """
        group = f"/aws/lambda/{APP}-{self.commands.stage}" + ("" if function == "api" else f"-{function}")
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
        messages = [event["message"] for page in pages for event in page["events"]]
        lines: list[Row] = [json.loads(message) for message in messages if message.startswith("{")]
        return [line for line in lines if about.items() <= line.items()]

    def rules(self) -> list[Row]:
        """Return the EventBridge rules with the schedules of the stage."""
        return list(self._events.list_rules(NamePrefix=f"{APP}-{self.commands.stage}-")["Rules"])

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(connect(self.env["DATABASE_URL"])) as connection:
            return [tuple(row) for row in connection.run(statement) or ()]

    def replace_database(self) -> None:
        """Delete the database and create a new, empty one with the same name. Works only with an embedded cloud."""
        superuser = Postgres(home_of(self.commands.state.folder), Role("", "")).superuser_url
        owner = str(urlsplit(self.env["DATABASE_URL"]).username)
        with closing(connect(superuser)) as server:
            server.run("DROP DATABASE hireflow WITH (FORCE)")
            server.run(f"CREATE DATABASE hireflow OWNER {owner}")

    def table(self, name: str) -> list[tuple[Any, ...]]:
        """Return all rows of a table in the order of their ids."""
        return self.sql(f'SELECT * FROM "{name}" ORDER BY id')


def _response(response: Any) -> Response:
    text = response.read()
    return Response(response.status, response.headers, json.loads(text) if text else None)


def until(look: Callable[[], Found | None], what: str, seconds: float = PATIENCE) -> Found:
    """Call `look` again and again until it returns a true value. Return this value."""
    deadline = time.monotonic() + seconds
    while not (result := look()):
        assert time.monotonic() < deadline, f"waited {seconds} seconds for {what}, but it has not come"
        time.sleep(0.05)
    return result


def counts(load: Row) -> tuple[int, ...]:
    """Return the counts of a load in the order of COUNTS. Raise AssertionError if they do not add up."""
    values = tuple(load[name] for name in COUNTS)
    assert values[0] == sum(values[1:]), load
    return values
