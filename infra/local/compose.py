"""Runs LocalStack and Postgres in Docker, as docker-compose.localstack.yml describes them."""

import os
import shutil
import subprocess
from hashlib import sha256

from infra.errors import CloudError
from infra.local import ports, provision
from infra.local.aws import CREDENTIALS
from infra.local.cloud import Report, Services, owner
from infra.local.provision import Role
from infra.local.settling import settle
from infra.local.state import State
from infra.settings.chosen import Chosen
from infra.venv import ROOT

FILE = ROOT / "docker-compose.localstack.yml"
_CONTAINER = ("postgres", 5432)  # functions run in containers of the same Docker network, so they use this address


def available() -> bool:
    """Return whether Docker can be used. This needs Docker's client, its compose command and a running daemon."""
    if shutil.which("docker") is None:
        return False
    checks = (["docker", "compose", "version"], ["docker", "info"])
    return all(subprocess.run(c, capture_output=True, check=False).returncode == 0 for c in checks)


class Compose:
    """The servers of one stage in Docker. Each state folder has its own compose project."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._project = f"hireflow-{sha256(str(state.folder).encode()).hexdigest()[:8]}"

    def up(self, report: Report, chosen: Chosen) -> Services:
        notes, running = self._state.notes(), self._running()

        def port_of(variable: str, note: str, usual: int, other: str) -> int:
            if running:
                return int(notes[note])
            return ports.choose(variable, chosen.read(variable), notes.get(note, usual), others=[chosen.read(other)])

        port = port_of("HIREFLOW_PORT", "port", 4566, "HIREFLOW_PG_PORT")
        pg_port = port_of("HIREFLOW_PG_PORT", "pg_port", 5432, "HIREFLOW_PORT")
        superuser = Role.generated("", notes.get("superuser_password", ""))
        role = owner(chosen, self._state)
        self._state.note(
            port=port,
            pg_port=pg_port,
            superuser_password=superuser.password,
            pg_user=role.user,
            pg_password=role.password,
        )
        report("starting LocalStack and Postgres in Docker (the first start downloads them)")
        self._compose("up", "--detach", "--wait")
        url = role.url(ports.HOST, pg_port)
        admin = Role("postgres", superuser.password).url(ports.HOST, pg_port, "postgres")
        if not provision.is_done(url):
            provision.create(admin, role)
        provision.limit_connections(admin, role.of_functions(), chosen.read("DATABASE_CONNECTIONS"))
        aws = {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{ports.HOST}:{port}"}
        return Services(aws, url, role.url(*_CONTAINER), role.of_functions().url(*_CONTAINER))

    def down(self, report: Report) -> None:
        notes = self._state.notes()
        if self._running() and "superuser_password" in notes:
            superuser = Role("postgres", notes["superuser_password"])
            settle(superuser.url(ports.HOST, notes["pg_port"], "postgres"), report)
        report("stopping the containers")
        self._compose("stop")

    def clean(self, report: Report) -> None:
        report("removing the containers and their volumes")
        self._compose("down", "--volumes", "--remove-orphans")

    def status(self) -> dict[str, str | None]:
        return {"containers": "running" if self._running() else None}

    def incarnation(self) -> None:
        return None

    def _running(self) -> bool:
        return bool(self._compose("ps", "--quiet", "--status", "running").strip())

    def _compose(self, *arguments: str) -> str:
        """Run docker compose with the ports and passwords of this state folder."""
        notes = self._state.notes()
        env = os.environ | {
            "HIREFLOW_PORT": str(notes.get("port", 4566)),
            "HIREFLOW_PG_PORT": str(notes.get("pg_port", 5432)),
            "HIREFLOW_SUPERUSER_PASSWORD": notes.get("superuser_password", ""),
            "HIREFLOW_NETWORK": self._project,
        }
        command = ["docker", "compose", "--project-name", self._project, "--file", str(FILE), *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CloudError("docker compose failed: " + " | ".join(done.stderr.strip().splitlines()[-3:]))
        return done.stdout
