"""The clouds that this machine can offer a stage: the embedded one, Docker's, or one that is there already."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from infra.errors import CloudError
from infra.local import ports, provision
from infra.local.aws import CREDENTIALS, EmbeddedAws
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role
from infra.local.settling import settle
from infra.local.state import State

Report = Callable[[str], None]


@dataclass(frozen=True)
class Services:
    """A running cloud.

    `database_url` is that of the schema's owner. Functions may have to reach the database under another
    address than this machine: `migration_url` is the owner's and `functions_url` their own role's there.
    """

    aws: Mapping[str, str] = field(repr=False)
    database_url: str = field(repr=False)
    migration_url: str = field(repr=False)
    functions_url: str = field(repr=False)


def connections() -> int:
    """How many connections the functions may have together: DATABASE_CONNECTIONS."""
    try:
        return max(1, int(os.environ.get("DATABASE_CONNECTIONS") or 100))
    except ValueError:
        raise CloudError("DATABASE_CONNECTIONS is not a whole number") from None


class Cloud(Protocol):
    """What a stage runs on."""

    def up(self, report: Report) -> Services: ...
    def down(self, report: Report) -> None: ...
    def clean(self, report: Report) -> None: ...
    def status(self) -> dict[str, str]: ...

    def incarnation(self) -> str | None:
        """Identifies this start of the servers: it changes when they restart, since they forget events then. None if it
        is not known."""


class Embedded:
    """Postgres and AWS as processes of this machine."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._aws = EmbeddedAws(state.folder / "aws")

    def up(self, report: Report) -> Services:
        role = self._role()
        postgres = self._postgres(role)
        port = self._start(report, "Postgres", "HIREFLOW_PG_PORT", postgres, "pg_port")
        self._state.note(pg_port=port)
        provision.limit_connections(postgres.superuser_url, role.of_functions(), connections())
        endpoint_port = self._start(report, "AWS", "HIREFLOW_PORT", EmbeddedAws(self._aws.home, report), "port")
        self._state.note(port=endpoint_port)
        aws = {**self._aws.credentials, "AWS_ENDPOINT_URL": f"http://{ports.HOST}:{endpoint_port}"}
        return Services(aws, postgres.url, postgres.url, postgres.functions_url)

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

    def status(self) -> dict[str, str]:
        return {
            name: f"{ports.HOST}:{port}" if (port := server.port()) else "stopped"
            for name, server in (("Postgres", self._postgres()), ("AWS", self._aws))
        }

    def incarnation(self) -> str:
        return f"{self._aws.incarnation()} {self._postgres().incarnation()}"

    def _role(self) -> Role:
        """The role of the environment, else the one of last time, else a new one."""
        notes, env = self._state.notes(), os.environ
        role = Role.generated(
            env.get("HIREFLOW_PG_USER") or notes.get("pg_user", ""),
            env.get("HIREFLOW_PG_PASSWORD") or notes.get("pg_password", ""),
        )
        self._state.note(pg_user=role.user, pg_password=role.password)
        return role

    def _postgres(self, role: Role | None = None) -> Postgres:
        return Postgres(home_of(self._state.folder), role or Role("", ""))

    def _start(self, report: Report, name: str, variable: str, server: "_Server", note: str) -> int:
        """Start a server unless it runs, on the port that is asked for or remembered."""
        running, fixed = server.port(), ports.fixed_port(variable)
        if running is not None and fixed in (None, running):
            server.start(running)  # joins it, or replaces it where it is not healthy
            return running
        port = ports.choose(variable, self._state.notes().get(note))
        if running is not None:
            server.stop()
        report(f"starting {name} on {ports.HOST}:{port}")
        server.start(port)
        return port


class _Server(Protocol):
    def port(self) -> int | None: ...
    def start(self, port: int) -> None: ...
    def stop(self) -> None: ...


class Given:
    """Services that somebody else runs: AWS_ENDPOINT_URL and DATABASE_URL."""

    def up(self, report: Report) -> Services:
        env = os.environ
        missing = [name for name in ("AWS_ENDPOINT_URL", "DATABASE_URL") if not env.get(name)]
        if missing:
            raise CloudError(f"{missing[0]} is not set; set both AWS_ENDPOINT_URL and DATABASE_URL, or install Docker")
        aws = {name: env.get(name) or value for name, value in CREDENTIALS.items()}
        aws["AWS_ENDPOINT_URL"] = env["AWS_ENDPOINT_URL"].rstrip("/")
        report(f"using {aws['AWS_ENDPOINT_URL']}")
        url = env["DATABASE_URL"]
        seen_by_functions = env.get("HIREFLOW_FUNCTIONS_DATABASE_URL") or url
        functions_url = provision.functions_url(seen_by_functions)
        if not provision.may_create_roles(url) and not provision.accepts(provision.functions_url(url)):
            report("the role of DATABASE_URL may not create another for the functions: they use the owner's")
            functions_url = seen_by_functions
        return Services(aws, url, seen_by_functions, functions_url)

    def down(self, report: Report) -> None:
        report("these services were not started here: left running")

    def clean(self, report: Report) -> None:
        self.down(report)

    def status(self) -> dict[str, str]:
        return {"AWS": os.environ.get("AWS_ENDPOINT_URL", "not given")}

    def incarnation(self) -> None:
        return None
