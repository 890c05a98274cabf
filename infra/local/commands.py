"""Does the work of `make up`, `down`, `clean` and similar commands."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.schedules import SWEEP_MINUTES, minutes_in_words
from chalicelib.migrations import migrate
from cli.functions import scheduled_event
from infra import disk
from infra.deploy import concurrency, driver, notices, removal, tables
from infra.deploy.logins import Logins
from infra.deploy.target import Target, bucket_names, queue_names, topic_name
from infra.errors import CloudError
from infra.local import compose, provision, status
from infra.local.cloud import Cloud, Embedded, Given, Report, Services
from infra.local.state import ENV_KEYS, ENV_KEYS_OF_ACCOUNT, State
from infra.settings.adopted import adopted, outdated, recorded
from infra.settings.chosen import ALL, Chosen, choose, of_one_command
from infra.settings.kept import File

STAGES = ("local", "localstack")


@dataclass(frozen=True)
class Commands:
    """The commands of one stage. `source` is the folder of app.py. `report` prints progress."""

    stage: str
    source: Path
    state: State
    report: Report
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, kw_only=True, repr=False)

    def up(self, reset: Collection[str] = ()) -> None:
        """Start what is not running, deploy what has changed, and write the env file.

        Settings come from the environment, else from the last `up`. The settings in `reset` lose their kept values.
        All settings are validated, and the migrations are compared with the datasets, before anything changes. Raises
        CloudError.
        """
        self._of_this_machine("make deploy STAGE={stage} deploys it")
        tables.check()
        self.settings(reset)
        with self.state.turn(), disk.explained(self.state.folder):
            chosen = self.settings(reset)
            if self.status()["state"] != status.RUNNING:
                disk.check(self.state.folder, disk.TO_START)
            kind = self._kind_to_start(chosen)
            self.state.note(cloud=kind)
            services = self._cloud(kind).up(self.report, chosen)
            self._kept.keep(chosen.to_keep())  # now, so that an `up` after Ctrl-C has the settings
            target = self._target(services, chosen)
            # Also look at the database, because somebody may have deleted it, or restored it from an old copy.
            if not driver.is_current(target) or provision.revision(services.database_url) != migrate.head():
                disk.check(self.state.folder, disk.TO_DEPLOY)
                if not driver.has_api(target):
                    self.state.env_file.unlink(missing_ok=True)  # the file names an API that no longer exists
                driver.deploy(target, self.report)
            token = self._operator_token(target) if chosen.authentication else ""
            self.state.write_env(self._env(services, target, token))
            driver.start_ahead(target, (concurrency.API, concurrency.INGEST))
            self._sweep(target, self._cloud(kind).incarnation())
        self.report(status.ABOUT_TOKENS[chosen.authentication])
        self.report(f"ready: {self.state.read_env()['API_URL']}")

    def settings(self, reset: Collection[str] = ()) -> Chosen:
        """Return the settings of the stage and the environment. Raises CloudError, which names every wrong setting."""
        kept = {} if ALL in reset else self._kept_ones()  # RESET=ALL must work even if the file is damaged
        return choose(self.stage, self.env, kept, reset, str(self._kept.path))

    def kept_settings(self) -> Chosen:
        """Return the kept settings of the stage, without those in the environment. Raises CloudError, like
        `settings`."""
        return choose(self.stage, of_one_command(self.env), self._kept_ones(), (), str(self._kept.path))

    def not_deployed(self, chosen: Chosen) -> list[str]:
        """Return the names of settings that were changed in the file, but not deployed by `make up` since."""
        deployed = recorded(self.configuration, self.stage)
        return outdated(chosen, deployed) if deployed else []

    def _kept_ones(self) -> dict[str, str]:
        return self._kept.read() if self._kept.exists() else self._adopted()

    @property
    def configuration(self) -> Path:
        """Return the path of Chalice's config.json of the last deployment."""
        return self.state.build(self.stage) / "project" / ".chalice" / "config.json"

    @property
    def _kept(self) -> File:
        return File(self.state.settings_file)

    def _adopted(self) -> dict[str, str]:
        """Return the settings of a stage that the previous release deployed, if that release kept no settings."""
        settings = adopted(self.stage, recorded(self.configuration, self.stage))
        if self._kind_started() == "given" and (known := self.state.known_env()):
            settings |= {name: known[name] for name in ("AWS_ENDPOINT_URL", "DATABASE_URL")}
        return settings

    def _sweep(self, target: Target, incarnation: str | None) -> None:
        """Start a sweep for files whose events were lost by a stop or a crash. Do not wait for the end of the sweep.

        If the servers have not restarted since the last such sweep, no event was lost, so this sweep is like a
        scheduled one.
        """
        restarted = incarnation is None or incarnation != self.state.notes().get("swept")
        event = scheduled_event(target.aws["AWS_DEFAULT_REGION"])
        try:
            driver.invoke_later(target, "sweep", event | {"detail": {"restarted": restarted}})
        except CloudError as error:
            within = minutes_in_words(SWEEP_MINUTES)
            self.report(f"the next scheduled sweep, within {within}, looks for files whose events were lost: {error}")
        else:
            self.state.note(swept=incarnation)

    def down(self) -> None:
        """Wait a limited time for running loads and backups, then stop everything. The state stays."""
        self._of_this_machine("it cannot be stopped, and make destroy STAGE={stage} deletes it")
        if not self.state.exists():
            return
        with self.state.turn():
            self._cloud(self._kind_started()).down(self.report)

    def clean(self) -> None:
        """Stop all servers and delete their state. If services keep running, remove from them what was deployed."""
        self._of_this_machine("make destroy STAGE={stage} deletes it")
        if not self.state.exists():
            return
        with self.state.turn():
            if self._kind_started() == "given" and self.state.known_env():
                self._remove()
            self._cloud(self._kind_started()).clean(self.report)
            self.state.delete()

    def status(self) -> dict[str, str]:
        """Return the stage's state and the addresses of its servers. The state says how to start a stopped server."""
        if not self.state.exists():
            return {"state": f"nothing here yet: {self.make_up}"}
        return status.of(self._cloud(self._kind_started()).status(), self.state.known_env(), self.make_up)

    def check_running(self) -> None:
        """Check that the stage is deployed and that all its servers run. A stage on AWS always runs.

        Raises CloudError, which says what to do.
        """
        if self.stage not in STAGES:
            return
        shown = self.status()
        if shown["state"] != status.RUNNING:
            raise CloudError(shown["state"])

    @property
    def make_up(self) -> str:
        return "make up" if self.stage == "local" else f"make up STAGE={self.stage}"

    def invoke(self, function: str, order: Any = None) -> Any:
        """Invoke a function with `order` as its event, or, without an order, with the event of its schedule."""
        self.check_running()
        return self.invoke_scheduled(function, {}) if order is None else driver.invoke(self.deployed(), function, order)

    def invoke_scheduled(self, function: str, detail: Mapping[str, Any]) -> Any:
        """Invoke a scheduled function with the event of its schedule plus `detail`."""
        self.check_running()
        event = scheduled_event(self.read_env()["AWS_DEFAULT_REGION"])
        return driver.invoke(self.deployed(), function, event | {"detail": dict(detail)})

    def read_env(self) -> dict[str, str]:
        """Read the env file of the stage. Raises CloudError if it is missing or incomplete."""
        if self.stage not in STAGES and not self.state.env_file.exists():
            raise CloudError(
                f"{self.state.env_file} is missing: copy it from the machine that deployed stage {self.stage}, "
                f"or run make deploy STAGE={self.stage}"
            )
        return self.state.read_env(ENV_KEYS if self.stage in STAGES else ENV_KEYS_OF_ACCOUNT)

    def deployed(self) -> Target:
        """Return the deployed stage as its env file describes it. This is enough for requests, not for a deployment."""
        env = self.read_env()
        buckets = {name: env[name] for name in bucket_names(self.stage)}
        return Target(
            self.stage, self.source, self.state.build(self.stage), {**buckets, **queue_names(self.stage)}, env
        )

    def _of_this_machine(self, instead: str) -> None:
        if self.stage not in STAGES:
            raise CloudError(f"stage {self.stage} is on AWS: {instead.format(stage=self.stage)}")

    def _remove(self) -> None:
        try:
            target = self.deployed()
            removal.remove(target, self.report)
            topic = self._topic(target.aws)
            notices.delete_topic(replace(target, functions={**target.functions, "NOTICE_TOPIC": topic}))
        except (BotoCoreError, ClientError) as error:
            self.report(f"the deployed resources still exist, because they could not be removed: {error}")

    def _operator_token(self, target: Target) -> str:
        """Return the token of the last `up` if it is still valid, else a new one."""
        token = str(self.state.notes().get("api_token", ""))
        if not token or not driver.accepts_token(target, token):
            order = {"action": "create", "role": "operator", "note": "make up"}
            token = driver.invoke(target, "tokens", order)["token"]
            self.state.note(api_token=token)
        return token

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
            "NOTICE_TOPIC": self._topic(services.aws),
            "S3_PUBLIC_URL": services.aws["AWS_ENDPOINT_URL"],  # functions may reach S3 at another address
            "DATABASE_TLS": "disable",
        }
        aws = {name: value for name, value in services.aws.items() if name.startswith("AWS_")}
        work, subscriptions = self.state.build(self.stage), chosen.subscriptions()
        return Target(
            *(self.stage, self.source, work, functions, aws, login.migration, login.secrets),
            subscriptions=subscriptions,
            reserved=self._reserved(chosen.read("DATABASE_CONNECTIONS")),
        )

    def _reserved(self, connections: int) -> Mapping[str, int]:
        """Return the reserved concurrency of each function, for a database with this many connections."""
        names = json.loads((self.source / ".chalice" / "config.json").read_text())["lambda_functions"]
        others = [name for name in names if name not in (concurrency.API, concurrency.INGEST)]
        return concurrency.of_machine(connections, others, os.cpu_count() or 1)

    def _topic(self, aws: Mapping[str, str]) -> str:
        """Return the ARN of the topic of the notices."""
        identity = Target(self.stage, self.source, self.state.build(self.stage), {}, aws).client("sts")
        try:
            account = identity.get_caller_identity()["Account"]
        except (BotoCoreError, ClientError) as error:
            raise CloudError(f"the AWS account cannot be read: {error}") from error
        return f"arn:aws:sns:{aws['AWS_DEFAULT_REGION']}:{account}:{topic_name(self.stage)}"

    def _env(self, services: Services, target: Target, token: str) -> Mapping[str, str]:
        return {
            "API_URL": driver.api_url(target),
            "DATABASE_URL": services.database_url,
            "API_TOKEN": token,
            **bucket_names(self.stage),
            **services.aws,
        }


def stages(source: Path) -> list[str]:
    """Return all stages that config.json declares. Those that are not in STAGES are on AWS."""
    return list(json.loads((source / ".chalice" / "config.json").read_text())["stages"])


def commands(stage: str, source: Path, report: Report) -> Commands:
    """Return the commands of a stage. Raises CloudError if the stage is not declared."""
    if stage not in stages(source):
        raise CloudError(f"unknown stage {stage}: choose one of {', '.join(stages(source))}")
    return Commands(stage, source, State.of(stage), report)
