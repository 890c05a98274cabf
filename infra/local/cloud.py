"""Starts and stops the clouds that a stage can run on: the embedded cloud, or services that already run elsewhere.

The third kind of cloud, LocalStack in Docker, is in `compose`.
"""

import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from infra.errors import CloudError
from infra.local import ports, provision
from infra.local.aws import CREDENTIALS, EmbeddedAws
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role
from infra.local.settling import settle
from infra.local.state import State
from infra.settings.chosen import Chosen

Report = Callable[[str], None]


@dataclass(frozen=True)
class Services:
    """The addresses and credentials of a running cloud.

    `database_url` is the URL with which this machine logs in as the database owner. Functions may need another address
    of the database. `migration_url` is the URL with which the function `migrate` logs in as the owner, and
    `functions_url` is the URL with which the other functions log in as their own role.
    """

    aws: Mapping[str, str] = field(repr=False)
    database_url: str = field(repr=False)
    migration_url: str = field(repr=False)
    functions_url: str = field(repr=False)


def owner(chosen: Chosen, state: State) -> Role:
    """Return the database owner: from the settings, else from the last start, else a newly generated one."""
    notes = state.notes()
    return Role.generated(
        chosen.text("HIREFLOW_PG_USER") or notes.get("pg_user", ""),
        chosen.text("HIREFLOW_PG_PASSWORD") or notes.get("pg_password", ""),
    )


def accepts_connections(endpoint: str) -> bool:
    """Return whether a server listens at this URL."""
    url = urlsplit(endpoint)
    try:
        socket.create_connection((url.hostname or "", url.port or (443 if url.scheme == "https" else 80)), 5).close()
    except (OSError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class _Place:
    """Describes the port of a server.

    The setting `variable` fixes the port, the state folder keeps the port as `note`, and `bind` tests a port.
    """

    server: str
    variable: str
    note: str
    bind: ports.Bind


_AWS = _Place("AWS", "HIREFLOW_PORT", "port", ports.bind)
_POSTGRES = _Place("Postgres", "HIREFLOW_PG_PORT", "pg_port", ports.bind_unprivileged)  # Postgres never runs as root


def _fixed_for_others(place: _Place, chosen: Chosen) -> set[int]:
    """Return the ports that settings fix for the other servers."""
    fixed = (chosen.read(other.variable) for other in (_AWS, _POSTGRES) if other is not place)
    return {port for port in fixed if port is not None}


def _may_stay(place: _Place, running: int, chosen: Chosen) -> bool:
    """Return whether a running server may keep its port."""
    fixed = chosen.read(place.variable)
    return running == fixed if fixed is not None else running not in _fixed_for_others(place, chosen)


class Cloud(Protocol):
    """The servers that a stage runs on."""

    def up(self, report: Report, chosen: Chosen) -> Services:
        """Start the servers that do not run. Raises CloudError."""

    def down(self, report: Report) -> None:
        """Stop the servers. Their state stays."""

    def clean(self, report: Report) -> None:
        """Stop the servers and delete their state."""

    def status(self) -> dict[str, str | None]:
        """Return the address of each server, or None if the server does not run."""

    def incarnation(self) -> str | None:
        """Return a text that changes when the servers restart, because a restart loses events.

        Return None if the cloud cannot detect restarts.
        """


class Embedded:
    """The embedded cloud: Postgres and ministack run as processes of this machine."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._aws = EmbeddedAws(state.folder / "aws")

    def up(self, report: Report, chosen: Chosen) -> Services:
        self._make_way(report, chosen)
        role = self._role(chosen)
        postgres = self._postgres(role, chosen.text("HIREFLOW_PG_BIN"))
        self._start(report, _POSTGRES, postgres, chosen)
        connections = chosen.read("DATABASE_CONNECTIONS")
        provision.limit_connections(postgres.superuser_url, role.of_functions(), connections)
        endpoint_port = self._start(report, _AWS, EmbeddedAws(self._aws.home, report), chosen)
        aws = {**self._aws.credentials, "AWS_ENDPOINT_URL": f"http://{ports.HOST}:{endpoint_port}"}
        return Services(aws, postgres.url, postgres.url, postgres.functions_url)

    def _make_way(self, report: Report, chosen: Chosen) -> None:
        """Stop the servers that must move to another port. Check all ports before stopping any server."""
        servers: tuple[tuple[_Place, _Server], ...] = ((_AWS, self._aws), (_POSTGRES, self._postgres()))
        running = {place: port for place, server in servers if (port := server.port()) is not None}
        for place, _ in servers:
            fixed = chosen.read(place.variable)
            if fixed not in (None, running.get(place)):
                ports.check(place.variable, fixed, place.bind, running.values())
        for place, server in servers:
            if place in running and not _may_stay(place, running[place], chosen):
                report(f"stopping {place.server}: it moves to another port")
                server.stop()

    def down(self, report: Report) -> None:
        if self._aws.port() is not None and self._postgres().port() is not None:
            settle(self._postgres().superuser_url, report)
        self._stop(report)

    def _stop(self, report: Report) -> None:
        for server, name in ((self._aws, "AWS"), (self._postgres(), "Postgres")):
            if server.port() is not None:
                report(f"stopping {name}")
            server.stop()

    def clean(self, report: Report) -> None:
        self._stop(report)
        shutil.rmtree(home_of(self._state.folder), ignore_errors=True)

    def status(self) -> dict[str, str | None]:
        return {
            name: f"{ports.HOST}:{port}" if (port := server.port()) else None
            for name, server in (("Postgres", self._postgres()), ("AWS", self._aws))
        }

    def incarnation(self) -> str:
        return f"{self._aws.incarnation()} {self._postgres().incarnation()}"

    def _role(self, chosen: Chosen) -> Role:
        role = owner(chosen, self._state)
        self._state.note(pg_user=role.user, pg_password=role.password)
        return role

    def _postgres(self, role: Role | None = None, programs: str = "") -> Postgres:
        return Postgres(home_of(self._state.folder), role or Role("", ""), programs=programs)

    def _start(self, report: Report, place: _Place, server: "_Server", chosen: Chosen) -> int:
        """Start a server unless it runs: on the fixed port, else its last port, else a free one. Return the port."""
        running, fixed = server.port(), chosen.read(place.variable)
        if running is not None:
            server.start(running)  # restarts the server only if it is not healthy
            return running
        remembered = self._state.notes().get(place.note)
        port = ports.choose(place.variable, fixed, remembered, place.bind, _fixed_for_others(place, chosen))
        report(f"starting {place.server} on {ports.HOST}:{port}")
        server.start(port)
        self._state.note(**{place.note: port})
        return port


class _Server(Protocol):
    def port(self) -> int | None: ...
    def start(self, port: int) -> None: ...
    def stop(self) -> None: ...


class Given:
    """Services that already run elsewhere: AWS_ENDPOINT_URL and DATABASE_URL, with the AWS credentials in `env`."""

    def __init__(self, state: State, env: Mapping[str, str]) -> None:
        self._state, self._env = state, env

    def up(self, report: Report, chosen: Chosen) -> Services:
        if not chosen.given("AWS_ENDPOINT_URL"):
            raise CloudError("Docker cannot be used here: set both AWS_ENDPOINT_URL and DATABASE_URL, or start Docker")
        known = self._known()
        aws = {name: self._env.get(name) or known.get(name) or value for name, value in CREDENTIALS.items()}
        aws["AWS_ENDPOINT_URL"] = chosen.text("AWS_ENDPOINT_URL").rstrip("/")
        report(f"using {aws['AWS_ENDPOINT_URL']}")
        url = chosen.text("DATABASE_URL")
        seen_by_functions = chosen.text("HIREFLOW_FUNCTIONS_DATABASE_URL") or url
        functions_url = provision.functions_url(seen_by_functions)
        if not provision.may_create_roles(url) and not provision.accepts(provision.functions_url(url)):
            report("the role in DATABASE_URL may not create the functions' role, so functions use the owner's role")
            functions_url = seen_by_functions
        return Services(aws, url, seen_by_functions, functions_url)

    def down(self, report: Report) -> None:
        report("these services keep running, because make up did not start them")

    def clean(self, report: Report) -> None:
        self.down(report)

    def status(self) -> dict[str, str | None]:
        endpoint, url = self._known().get("AWS_ENDPOINT_URL"), self._known().get("DATABASE_URL", "")
        return {
            "AWS": endpoint if endpoint and accepts_connections(endpoint) else None,
            "Postgres": urlsplit(url).netloc.rpartition("@")[2] if provision.accepts(url) else None,
        }

    def _known(self) -> Mapping[str, str]:
        """Return the values in the env file of the last `up` that succeeded, or none if there is no such file."""
        return self._state.known_env() or {}

    def incarnation(self) -> None:
        return None
