"""Where a deployment goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.config import Config

from infra.sessions import session

APP = "hireflow"
CA_FILE = "database-ca.pem"
_PATIENCE = 930  # seconds; the longest function that is invoked and waited for has 900


@dataclass(frozen=True)
class Vpc:
    """Where functions run that reach their database through a proxy, `proxy` its resource id."""

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    proxy: str
    owner: str
    user: str


@dataclass(frozen=True)
class Target:
    """One stage in one account.

    `source` holds app.py; `work` is a folder of ours for this stage, kept from one deployment to the
    next; `functions` are the environment variables of the functions, `migration` what the migration has
    in place of them, `secrets` what Secrets Manager has to hold; `aws` are the AWS_* variables that lead
    to the account: none but the region where boto3 finds the credentials itself. `ca` is a file that ships
    with the functions, as CA_FILE.
    """

    stage: str
    source: Path
    work: Path
    functions: Mapping[str, str] = field(repr=False)
    aws: Mapping[str, str] = field(repr=False)
    migration: Mapping[str, str] = field(repr=False, default_factory=dict)
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    vpc: Vpc | None = None
    ca: Path | None = None

    @property
    def landing(self) -> str:
        return self.functions["LANDING_BUCKET"]

    @property
    def backup(self) -> str:
        return self.functions["BACKUP_BUCKET"]

    @property
    def buckets(self) -> tuple[str, str, str]:
        return self.landing, self.functions["ERRORED_BUCKET"], self.backup

    @property
    def dead_letters(self) -> str:
        return self.functions["DEAD_LETTER_QUEUE"]

    @property
    def project(self) -> Path:
        """The Chalice project that is deployed, made of `source` and what is generated."""
        return self.work / "project"

    def function(self, name: str) -> str:
        """The deployed name of a function of app.py."""
        return f"{APP}-{self.stage}-{name}"

    def client(self, service: str) -> Any:
        """A boto3 client of the target's account."""
        path_style: Any = {"addressing_style": "path"} if "AWS_ENDPOINT_URL" in self.aws else {}
        config = Config(connect_timeout=5, read_timeout=_PATIENCE, retries={"total_max_attempts": 3}, s3=path_style)
        return self._session.client(service, endpoint_url=self.aws.get("AWS_ENDPOINT_URL"), config=config)

    @cached_property
    def _session(self) -> Any:
        return session(
            aws_access_key_id=self.aws.get("AWS_ACCESS_KEY_ID") or None,
            aws_secret_access_key=self.aws.get("AWS_SECRET_ACCESS_KEY") or None,
            region_name=self.aws.get("AWS_DEFAULT_REGION"),
        )


def bucket_names(stage: str) -> dict[str, str]:
    """The buckets of a stage, as the functions' environment names them."""
    return {f"{use.upper()}_BUCKET": f"{APP}-{stage}-{use}" for use in ("landing", "errored", "backup")}


def queue_names(stage: str) -> dict[str, str]:
    """The queue of a stage, likewise."""
    return {"DEAD_LETTER_QUEUE": f"{APP}-{stage}-dead-letters"}
