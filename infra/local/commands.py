"""What `make up`, `down`, `clean` and their like do."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.schedules import SWEEP_MINUTES, minutes_in_words
from chalicelib.migrations import migrate
from cli.functions import scheduled_event
from infra import disk
from infra.deploy import driver, removal
from infra.deploy.logins import Logins
from infra.deploy.target import Target, bucket_names, queue_names
from infra.errors import CloudError
from infra.local import compose, provision, status
from infra.local.cloud import Cloud, Embedded, Given, Report, Services
from infra.local.state import State
from infra.settings.adopted import adopted, outdated, recorded
from infra.settings.chosen import ALL, Chosen, choose, of_one_command
from infra.settings.kept import File

STAGES = ("local", "localstack")


@dataclass(frozen=True)
class Commands:
    """The commands of one stage: `source` holds app.py, `report` shows progress, `env` is the environment."""

    stage: str
    source: Path
    state: State
    report: Report
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, kw_only=True, repr=False)

    def up(self, reset: Collection[str] = ()) -> None:
        """Start what is not running, deploy what has changed, write the env file.

        Settings come from the environment, or are those of the last time; those of `reset` have their defaults again.
        All are checked before anything changes.
        """
        self._of_this_machine("deploy")
        self.settings(reset)
        with self.state.turn(), disk.explained(self.state.folder):
            chosen = self.settings(reset)
            if self.status()["state"] != status.RUNNING:
                disk.check(self.state.folder, disk.TO_START)
            kind = self._kind_to_start(chosen)
            self.state.note(cloud=kind)
            services = self._cloud(kind).up(self.report, chosen)
            self._kept.keep(chosen.to_keep())  # before the functions change: an interrupted `up` goes on with these
            target = self._target(services, chosen)
            # The database is checked, too: it may have been deleted, or restored from an old copy.
            if not driver.is_current(target) or provision.revision(services.database_url) != migrate.head():
                disk.check(self.state.folder, disk.TO_DEPLOY)
                if not driver.has_api(target):
                    self.state.env_file.unlink(missing_ok=True)  # the API that it names is gone
                driver.deploy(target, self.report)
            token = self._operator_token(target) if chosen.authentication else ""
            self.state.write_env(self._env(services, target, token))
            self._take_up(target, self._cloud(kind).incarnation())
        self.report(status.ABOUT_TOKENS[chosen.authentication])
        self.report(f"ready: {self.state.read_env()['API_URL']}")

    def settings(self, reset: Collection[str] = ()) -> Chosen:
        """What is set for this stage now, by the environment too. Raises CloudError naming everything that is wrong."""
        kept = {} if ALL in reset else self._kept_ones()  # whatever is wrong with the file, this is the way out
        return choose(self.stage, self.env, kept, reset, str(self._kept.path))

    def kept_settings(self) -> Chosen:
        """What is set for this stage by itself. Raises CloudError naming everything that is wrong."""
        return choose(self.stage, of_one_command(self.env), self._kept_ones(), (), str(self._kept.path))

    def not_deployed(self, chosen: Chosen) -> list[str]:
        """The settings that the functions have not got yet: the file was changed since the last `make up`."""
        deployed = recorded(self.configuration, self.stage)
        return outdated(chosen, deployed) if deployed else []

    def _kept_ones(self) -> dict[str, str]:
        return self._kept.read() if self._kept.exists() else self._adopted()

    @property
    def configuration(self) -> Path:
        """Chalice's, of the last deployment."""
        return self.state.build(self.stage) / "project" / ".chalice" / "config.json"

    @property
    def _kept(self) -> File:
        return File(self.state.settings_file)

    def _adopted(self) -> dict[str, str]:
        """The settings of a stage that a release deployed which kept none."""
        found = adopted(self.stage, recorded(self.configuration, self.stage))
        if self._kind_started() == "given" and (known := self.state.known_env()):
            found |= {name: known[name] for name in ("AWS_ENDPOINT_URL", "DATABASE_URL")}
        return found

    def _take_up(self, target: Target, incarnation: str | None) -> None:
        """Order a sweep for the files that came before a stop or a crash: their events are lost. Do not wait for it.

        If nothing has stopped since the last sweep of this kind, no event was lost, and the sweep works as on schedule.
        """
        restarted = incarnation is None or incarnation != self.state.notes().get("swept")
        event = scheduled_event(target.aws["AWS_DEFAULT_REGION"])
        try:
            driver.invoke_later(target, "sweep", event | {"detail": {"restarted": restarted}})
        except CloudError as error:
            within = minutes_in_words(SWEEP_MINUTES)
            self.report(f"the next scheduled sweep, within {within}, looks for files from before a stop: {error}")
        else:
            self.state.note(swept=incarnation)

    def down(self) -> None:
        """Wait for running loads and backups, for a limited time, and stop everything. The state stays."""
        self._of_this_machine("destroy")
        if not self.state.exists():
            return
        with self.state.turn():
            self._cloud(self._kind_started()).down(self.report)

    def clean(self) -> None:
        """Stop everything and delete its state; from services that go on, take away what was deployed to them."""
        self._of_this_machine("destroy")
        if not self.state.exists():
            return
        with self.state.turn():
            if self._kind_started() == "given" and self.state.known_env():
                self._take_away()
            self._cloud(self._kind_started()).clean(self.report)
            self.state.delete()

    def status(self) -> dict[str, str]:
        """What runs, and where; what to do if not all of it does."""
        if not self.state.exists():
            return {"state": f"nothing here yet: {self.make_up}"}
        return status.of(self._cloud(self._kind_started()).status(), self.state.known_env(), self.make_up)

    def check_running(self) -> None:
        """Raises CloudError, which says what to do, unless the stage is deployed and all of it runs. A stage on AWS
        always runs."""
        if self.stage not in STAGES:
            return
        shown = self.status()
        if shown["state"] != status.RUNNING:
            raise CloudError(shown["state"])

    @property
    def make_up(self) -> str:
        return "make up" if self.stage == "local" else f"make up STAGE={self.stage}"

    def invoke(self, function: str, order: Any = None) -> Any:
        """Call a function with an order, or a scheduled one as its schedule would."""
        self.check_running()
        return self.invoke_scheduled(function, {}) if order is None else driver.invoke(self.deployed(), function, order)

    def invoke_scheduled(self, function: str, detail: Mapping[str, Any]) -> Any:
        """Call a function that has a schedule with more than that would tell it."""
        self.check_running()
        event = scheduled_event(self.state.read_env()["AWS_DEFAULT_REGION"])
        return driver.invoke(self.deployed(), function, event | {"detail": dict(detail)})

    def deployed(self) -> Target:
        """The stage as its env file has it, to look at it and to call it."""
        env = self.state.read_env()
        buckets = {name: env[name] for name in bucket_names(self.stage)}
        return Target(
            self.stage, self.source, self.state.build(self.stage), {**buckets, **queue_names(self.stage)}, env
        )

    def _of_this_machine(self, instead: str) -> None:
        if self.stage not in STAGES:
            raise CloudError(f"stage {self.stage} is on AWS: make {instead} STAGE={self.stage}")

    def _take_away(self) -> None:
        try:
            removal.remove(self.deployed(), self.report)
        except (BotoCoreError, ClientError) as error:
            self.report(f"what was deployed is left behind: {error}")

    def _operator_token(self, target: Target) -> str:
        """The token of last time while it is good, else a new one."""
        known = str(self.state.notes().get("api_token", ""))
        if not known or not driver.accepts_token(target, known):
            order = {"action": "create", "role": "operator", "note": "make up"}
            known = driver.invoke(target, "tokens", order)["token"]
            self.state.note(api_token=known)
        return known

    def _kind_to_start(self, chosen: Chosen) -> str:
        if self.stage == "local":
            return "embedded"
        return "given" if chosen.given("AWS_ENDPOINT_URL") or not compose.available() else "compose"

    def _kind_started(self) -> str:
        return str(self.state.notes().get("cloud", "embedded" if self.stage == "local" else "given"))

    def _cloud(self, kind: str) -> Cloud:
        if kind == "embedded":
            return Embedded(self.state)
        return compose.Compose(self.state) if kind == "compose" else Given(self.state, self.env)

    def _target(self, services: Services, chosen: Chosen) -> Target:
        login = Logins.of(self.stage, services.migration_url, services.functions_url)
        functions = {
            **bucket_names(self.stage),
            **queue_names(self.stage),
            **login.functions,
            **chosen.of_functions(),
            "S3_PUBLIC_URL": services.aws["AWS_ENDPOINT_URL"],  # functions may see another one
            "DATABASE_TLS": "disable",
        }
        aws = {name: value for name, value in services.aws.items() if name.startswith("AWS_")}
        return Target(
            self.stage, self.source, self.state.build(self.stage), functions, aws, login.migration, login.secrets
        )

    def _env(self, services: Services, target: Target, token: str) -> Mapping[str, str]:
        return {
            "API_URL": driver.api_url(target),
            "DATABASE_URL": services.database_url,
            "API_TOKEN": token,
            **bucket_names(self.stage),
            **services.aws,
        }


def stages(source: Path) -> list[str]:
    """All that are declared; those beyond STAGES are on AWS."""
    return list(json.loads((source / ".chalice" / "config.json").read_text())["stages"])


def commands(stage: str, source: Path, report: Report) -> Commands:
    if stage not in stages(source):
        raise CloudError(f"unknown stage {stage}: one of {', '.join(stages(source))}")
    return Commands(stage, source, State.of(stage), report)
