"""The app deployed with faulty wires: its functions reach Postgres and S3 through proxies of ours, while
the tests look at both directly."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from infra.deploy.target import APP, Target
from infra.local.cloud import Cloud as Provider
from infra.local.cloud import Report, Services
from infra.local.commands import Commands
from infra.local.daemons import Daemon
from infra.local.ports import HOST
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.e2e.cloud import Cloud
from tests.faults.proxy import TcpProxy
from tests.faults.s3 import S3Proxy

_OWN = ROOT / ".local-faults"  # a fixed folder: what a killed run left there is cleaned up by the next one
_WAIT = 3600  # seconds for another run in the same checkout to end
GRACE_MINUTES = 60  # that a row waits for its parents: longer than the longest run


@dataclass
class Wires:
    """The proxies."""

    database: TcpProxy
    s3: S3Proxy


class _Behind:
    """A cloud whose functions reach it through the wires."""

    def __init__(self, inner: Provider, wires: Wires) -> None:
        self._inner, self._wires = inner, wires

    def up(self, report: Report) -> Services:
        services = self._inner.up(report)
        near = urlsplit(services.functions_url)
        self._wires.database.aim(near.port or 0)
        self._wires.s3.aim(urlsplit(services.aws["AWS_ENDPOINT_URL"]).port or 0)
        login = near.netloc.rpartition("@")[0]
        far = near._replace(netloc=f"{login}@{HOST}:{self._wires.database.port}")
        return replace(services, functions_url=urlunsplit(far))

    def down(self, report: Report) -> None:
        self._inner.down(report)

    def clean(self, report: Report) -> None:
        self._inner.clean(report)

    def status(self) -> dict[str, str]:
        return self._inner.status()

    def incarnation(self) -> str | None:
        return self._inner.incarnation()


@dataclass(frozen=True)
class FaultyCommands(Commands):
    """The commands of a stage with wires in between."""

    wires: Wires

    def _cloud(self, kind: str) -> Provider:
        return _Behind(super()._cloud(kind), self.wires)

    def _target(self, services: Services) -> Target:
        target = super()._target(services)
        more = {"AWS_ENDPOINT_URL_S3": self.wires.s3.url, "ORPHAN_GRACE_MINUTES": str(GRACE_MINUTES)}
        return replace(target, functions={**target.functions, **more})


class Stage:
    """What the writers and the storm act on. `cloud` and `database_url` lead past the wires; `timeout` is
    the seconds that its functions may take."""

    def __init__(self, commands: FaultyCommands, timeout: int) -> None:
        self.timeout = timeout
        self.wires = commands.wires
        self.cloud = Cloud(commands, commands.state.read_env())
        self.database_url = self.cloud.env["DATABASE_URL"]
        self._target = commands.deployed()
        self._functions, self._queues = self._target.client("lambda"), self._target.client("sqs")
        self._aws = Daemon(commands.state.folder / "aws", "aws")
        at = urlsplit(self.database_url)
        self._port = at.port or 0
        role = Role(unquote(at.username or ""), unquote(at.password or ""))
        self._postgres = Postgres(home_of(commands.state.folder), role)
        self._copies = self._tap()

    def limit_functions(self) -> None:
        """Shorten the timeouts: a test has no quarter of an hour."""
        for name in (self._target.function("ingest"), f"{APP}-{self._target.stage}"):
            self._functions.update_function_configuration(FunctionName=name, Timeout=self.timeout)

    # --- events

    def _tap(self) -> str:
        """Have S3 send its events to a queue of ours as well; returns the queue's URL."""
        allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        url = str(self._queues.create_queue(QueueName="copies", Attributes={"Policy": policy})["QueueUrl"])
        asked = self._queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        bucket, s3 = self._target.landing, self.cloud.s3
        known: Any = s3.get_bucket_notification_configuration(Bucket=bucket)
        known.pop("ResponseMetadata")
        copies = {"Id": "copies", "QueueArn": asked["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
        known["QueueConfigurations"] = [copies]
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=known)
        return url

    def copies(self) -> list[Any]:
        """The events that S3 has sent since we last asked."""
        return [json.loads(body) for body in self._received(self._copies)]

    def _received(self, queue_url: str) -> list[str]:
        """The bodies of all messages that wait in a queue, which loses them."""
        bodies: list[str] = []
        while messages := self._queues.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                self._queues.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def dead_letters(self) -> list[str]:
        """The failure records of events whose retries are used up; they stay in their queue."""
        url = self._queues.get_queue_url(QueueName=self._target.dead_letters)["QueueUrl"]
        found: list[Any] = []
        while messages := self._queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += messages
        for message in found:
            receipt = message["ReceiptHandle"]
            self._queues.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return [message["Body"] for message in found]

    def deliver(self, event: Any) -> None:
        """Deliver an S3 event (again), as S3 does: nobody waits for an answer."""
        name, payload = self._target.function("ingest"), json.dumps(event).encode()
        self._functions.invoke(FunctionName=name, InvocationType="Event", Payload=payload)

    # --- processes

    def restart_postgres(self) -> None:
        """Kill it as a crash would, and start it again."""
        self._postgres.kill()
        self._postgres.start(self._port)

    def kill_worker(self, function: str, random: Random) -> bool:
        """Kill -9 one of the processes that run a function ("" is the API's); False where there is none."""
        workers = [pid for pid, running in self._workers() if running == function]
        if not workers:
            return False
        try:
            os.kill(random.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _workers(self) -> Iterator[tuple[int, str]]:
        """(pid, function) of the processes of our embedded AWS."""
        pattern = re.compile(rf"/ministack-lambda-{APP}-{self._target.stage}-?([a-z]*)-\w{{8}}/")
        aws = self._aws.pid()
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, parent, command = line.split(None, 2)
            if int(parent) == aws and (match := pattern.search(command)):
                yield int(pid), match[1]


@contextmanager
def deployed(seed: str, timeout: int) -> Iterator[Stage]:
    """A fresh stage, gone afterwards."""
    with locked(ROOT / ".local-faults.lock", _WAIT, "another run of these tests does not end"), ExitStack() as stack:
        wires = Wires(TcpProxy(), S3Proxy(seed))
        stack.callback(wires.database.close)
        stack.callback(wires.s3.close)
        commands = FaultyCommands("local", ROOT, State(_OWN), lambda _: None, wires)
        commands.clean()
        stack.callback(commands.clean)
        commands.up()
        stage = Stage(commands, timeout)
        stage.limit_functions()
        yield stage
