"""Deploys a stage into which tests inject faults. Its functions reach Postgres and S3 only through proxies. The tests
themselves do not use the proxies."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import boto3
from botocore.config import Config

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
from infra.settings.chosen import Chosen
from infra.venv import ROOT
from tests.e2e.cloud import Cloud
from tests.faults import power
from tests.faults.events import Events
from tests.faults.proxy import TcpProxy
from tests.faults.s3 import S3Proxy
from tests.processes import workers_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OWN = ROOT / ".local-faults"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 3600  # seconds to wait until another run in the same checkout ends
GRACE_MINUTES = 60  # minutes that a row waits for its parents; longer than the longest run


@dataclass
class Proxies:
    """The two proxies of a stage: `database` to Postgres, and `s3` to S3."""

    database: TcpProxy
    s3: S3Proxy

    def calm(self) -> None:
        """End all faults of both proxies."""
        self.database.calm()
        self.s3.calm()


class _ThroughProxies:
    """A cloud whose functions reach Postgres and S3 through the proxies."""

    def __init__(self, inner: Provider, proxies: Proxies) -> None:
        self._inner, self._proxies = inner, proxies

    def up(self, report: Report, chosen: Chosen) -> Services:
        services = self._inner.up(report, chosen)
        direct = urlsplit(services.functions_url)
        self._proxies.database.aim(direct.port or 0)
        self._proxies.s3.aim(urlsplit(services.aws["AWS_ENDPOINT_URL"]).port or 0)
        login = direct.netloc.rpartition("@")[0]
        proxied = direct._replace(netloc=f"{login}@{HOST}:{self._proxies.database.port}")
        return replace(services, functions_url=urlunsplit(proxied))

    def down(self, report: Report) -> None:
        self._inner.down(report)

    def clean(self, report: Report) -> None:
        self._inner.clean(report)

    def status(self) -> dict[str, str | None]:
        return self._inner.status()

    def incarnation(self) -> str | None:
        return self._inner.incarnation()


@dataclass(frozen=True)
class FaultyCommands(Commands):
    """The commands of `make` for a stage whose functions use the proxies."""

    proxies: Proxies

    def _cloud(self, kind: str) -> Provider:
        return _ThroughProxies(super()._cloud(kind), self.proxies)

    def _target(self, services: Services, chosen: Chosen) -> Target:
        target = super()._target(services, chosen)
        more = {"AWS_ENDPOINT_URL_S3": self.proxies.s3.url, "ORPHAN_GRACE_MINUTES": str(GRACE_MINUTES)}
        return replace(target, functions={**target.functions, **more})


class Stage:
    """The stage that the writers use and the storm disturbs.

    `cloud` and `database_url` do not use the proxies. `timeout` is the timeout of the functions in seconds.
    """

    def __init__(self, commands: FaultyCommands, timeout: int) -> None:
        self.timeout = timeout
        self.proxies = commands.proxies
        self.commands = commands
        self.cloud = Cloud(commands, commands.state.read_env())
        self.database_url = self.cloud.env["DATABASE_URL"]
        self._target = commands.deployed()
        self._functions = self._target.client("lambda")
        self.events = Events(self._target, self.cloud.s3)
        self.uploads = _unrepeated(self.cloud.env)
        folder = commands.state.folder
        self._aws, self._server = Daemon(folder / "aws", "aws"), Daemon(home_of(folder), "postgres")
        at = urlsplit(self.database_url)
        self._port = at.port or 0
        self._postgres = Postgres(home_of(folder), Role(unquote(at.username or ""), unquote(at.password or "")))
        self.at_work = Event()  # the writers pause while it is not set
        self.at_work.set()
        self._outages = 0  # counts the beginnings and the ends of outages, so it is odd during an outage
        self.prepare()

    def prepare(self) -> None:
        """Give the functions a short timeout, because a test cannot wait 15 minutes. Let S3 copy its events to the
        tests. A deployment resets both, so call this after each deployment."""
        for name in (self._target.function("ingest"), f"{APP}-{self._target.stage}"):
            configuration = self._functions.get_function_configuration(FunctionName=name)
            if configuration["Timeout"] != self.timeout:
                self._functions.update_function_configuration(FunctionName=name, Timeout=self.timeout)
        self.events.tap()

    # --- outages

    def power_cut(self) -> float:
        """Kill all processes of the cloud at once, and run `make up`. Return the seconds that `make up` took."""
        return self._outage(lambda: power.cut(self._aws, self._server))

    def down_and_up(self) -> float:
        """Run `make down` and then `make up`. Loads may be running at this time. Return the seconds that `make up`
        took."""
        return self._outage(self.commands.down)

    def _outage(self, begin: Callable[[], None]) -> float:
        self._outages += 1
        try:
            begin()
            self.proxies.calm()
            began = time.monotonic()
            self.commands.up()
            took = time.monotonic() - began
            self.cloud.env = self.commands.state.read_env()
            self.prepare()
            return took
        finally:
            self._outages += 1

    def undisturbed(self) -> Callable[[], bool]:
        """Return a function. It returns True if no outage is going on or has happened since the call of this method."""
        before = self._outages
        return lambda: before % 2 == 0 and self._outages == before

    def sweep(self) -> Any:
        """Run the sweep that `make up` runs."""
        return self.commands.invoke_scheduled("sweep", {"restarted": True})

    # --- processes

    def restart_postgres(self) -> None:
        """Kill Postgres, so that it stops as in a crash, and start it again."""
        self._postgres.kill()
        self._postgres.start(self._port)

    def kill_worker(self, function: str, random: Random) -> bool:
        """Send SIGKILL to a process that runs this function. The name "" means the function of the API. Return False if
        there is no such process."""
        workers = [pid for pid, running in self._workers() if running == function]
        if not workers:
            return False
        try:
            os.kill(random.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _workers(self) -> Iterator[tuple[int, str]]:
        """Yield (pid, function) of the worker processes in this stage's embedded AWS."""
        for pid, name in workers_of(self._aws.pid()):
            yield pid, name.removeprefix(f"{APP}-{self._target.stage}").removeprefix("-")


@contextmanager
def deployed(seed: str, timeout: int) -> Iterator[Stage]:
    """Deploy a new stage, and delete it afterwards."""
    with locked(ROOT / ".local-faults.lock", _WAIT, "another run of these tests does not end"), ExitStack() as stack:
        proxies = Proxies(TcpProxy(), S3Proxy(seed))
        stack.callback(proxies.database.close)
        stack.callback(proxies.s3.close)
        commands = FaultyCommands("local", ROOT, State(_OWN), lambda _: None, proxies)
        commands.clean()
        stack.callback(commands.clean)
        commands.up()
        yield Stage(commands, timeout)


def _unrepeated(env: Mapping[str, str]) -> "S3Client":
    """Return a client that never retries, so that each upload makes at most one object version."""
    return boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_DEFAULT_REGION"],
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60, s3={"addressing_style": "path"}),
    )
