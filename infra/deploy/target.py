"""Describes the target of a deployment: a stage in an account."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.config import Config

from chalicelib.core.settings import BY_RELAY
from infra.sessions import session

APP = "hireflow"
CA_FILE = "database-ca.pem"
_PATIENCE = 930  # seconds; a function runs at most 900


@dataclass(frozen=True)
class Vpc:
    """The network of the functions, and their logins by IAM to the database or its proxy.

    `database` is the resource id of the proxy, the cluster or the instance. The migration logs in with the database
    role `owner`, which is empty if the owner logs in with a password. All other functions log in with `user`.
    """

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    database: str
    owner: str
    user: str


@dataclass(frozen=True)
class Target:
    """One stage in one account.

    `source` holds app.py. `work` is a folder for this stage, kept from one deployment to the next. `functions` are the
    environment variables of all functions, and `migration` replaces some of them in the migration. `secrets` are the
    values that Secrets Manager has to hold. `aws` are the AWS_* variables of the account: only the region if boto3
    finds the credentials itself. `ca` is a file that is deployed with the functions as CA_FILE. `subscriptions` are
    the subscriptions of the notices, by protocol. `owner_secret` is the ARN of the secret with the database owner's
    password, if the deployer passes this password to the migration. `reserved` is the concurrency of Lambda that is
    reserved for functions, by their names in app.py. `tracing` says whether X-Ray traces requests.
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
    subscriptions: Mapping[str, str] = field(default_factory=dict)
    owner_secret: str = ""
    reserved: Mapping[str, int] = field(default_factory=dict)
    tracing: bool = False

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
    def notices(self) -> str:
        """Return the ARN of the topic of the notices."""
        return self.functions["NOTICE_TOPIC"]

    @property
    def outside_vpc(self) -> frozenset[str]:
        """Return the names of the functions that run outside of the stage's network, because they call services of AWS
        that have no endpoint in this network."""
        by_relay = self.functions.get("AWS_CALLS") == BY_RELAY
        return frozenset({"relay", "redrive"} if by_relay else {"relay"})

    @property
    def partition(self) -> str:
        """Return AWS's partition of the target's region, with which ARNs begin."""
        return str(self._session.get_partition_for_region(self.aws.get("AWS_DEFAULT_REGION") or "us-east-1"))

    @property
    def project(self) -> Path:
        """Return the folder of the Chalice project, assembled from `source` and generated files."""
        return self.work / "project"

    def function(self, name: str) -> str:
        """Return the name in Lambda of a function of app.py."""
        return f"{APP}-{self.stage}-{name}"

    def client(self, service: str) -> Any:
        """Return a boto3 client for the target's account."""
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
    """Map the variables in the functions' environment that hold the names of a stage's buckets to these names."""
    return {f"{use.upper()}_BUCKET": f"{APP}-{stage}-{use}" for use in ("landing", "errored", "backup")}


def queue_names(stage: str) -> dict[str, str]:
    """Map the variable in the functions' environment that holds the name of a stage's dead-letter queue to this
    name."""
    return {"DEAD_LETTER_QUEUE": f"{APP}-{stage}-dead-letters"}


def topic_name(stage: str) -> str:
    """Return the name of the topic of a stage's notices."""
    return f"{APP}-{stage}-notices"
