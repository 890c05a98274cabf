"""Declares the settings of the functions. A function reads and validates them once per process.

Every field of the class `Settings` declares one environment variable. To add a setting, add a field to this class. The
new setting is then validated, kept per stage, shown by `make status` and in docs/settings.md, and passed to the
functions. infra/settings declares the settings that only the tools on this machine read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, TypeVar, cast

from chalicelib.core import setting_kinds
from chalicelib.core.errors import ConfigurationError
from chalicelib.core.setting_kinds import Kind

T = TypeVar("T")
LOCAL, LOCALSTACK, AWS = "local", "localstack", "AWS"  # AWS stands for every stage in an AWS account
DIRECT, BY_RELAY = "direct", "relay"  # the values of AWS_CALLS
EVERYWHERE = (LOCAL, LOCALSTACK, AWS)
# Characters that a line of a settings file cannot contain: control characters, line separators, and the surrogates that
# stand for bytes which are not UTF-8.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Setting:
    """An environment variable.

    `default` is the text that a user would write. An empty `default` means that the setting has no default. `local` is
    the default on the stage `local`, if that stage has a different default. `shown` describes a default that is not a
    fixed value. `stages` lists the stages on which a user may set the variable. An empty `stages` means that the
    deployment sets the variable. `kept` says whether a stage remembers the value that a user has given.
    """

    name: str
    kind: Kind[Any]
    about: str
    default: str = ""
    local: str | None = None
    shown: str = ""
    stages: tuple[str, ...] = EVERYWHERE
    secret: bool = False
    kept: bool = True

    def read(self, text: str) -> Any:
        """Parse a text, or the default if the text is empty.

        Raises ValueError with a message that says what is wrong. The message quotes the value unless the setting is
        secret.
        """
        given = text.strip() or self.default
        if not given:
            return self.kind.empty
        what = self.name if self.secret else f"{self.name}={given[:80]}"
        try:
            value = self.kind.read(given)
        except ValueError:
            raise ValueError(f"{what} is not {self.kind.allowed}") from None
        if self.kept and _UNFIT.search(given):
            raise ValueError(f"{what} contains control characters, line separators, or bytes that are not UTF-8")
        return value


def setting(name: str, kind: Kind[T], about: str, default: str = "", **more: Any) -> T:
    """Declare a field of Settings that is read from the environment variable `name`. See Setting."""
    declared = Setting(name, kind, about, default, **more)
    # The cast gives the field the type of its value, so that mypy compares the annotation with the kind.
    return cast(T, field(default=declared.read(""), repr=not declared.secret, metadata={"setting": declared}))


def computed(name: str, kind: Kind[T], about: str, default: str = "", **more: Any) -> T:
    """Declare a field of Settings. The deployment sets its environment variable; users do not."""
    return setting(name, kind, about, default, stages=(), **more)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a deployed function."""

    # --- set by users
    authentication: bool = setting(
        "HIREFLOW_AUTH",
        setting_kinds.switch(),
        "whether requests need a token; only the stage `local` can turn this off",
        "on",
        local="off",
    )
    orphan_grace: timedelta = setting(
        "ORPHAN_GRACE_MINUTES",
        setting_kinds.minutes(36_500_000),
        "how long a row waits for its department or job",
        "15",
    )
    backup_retention: timedelta = setting(
        "BACKUP_RETENTION_DAYS",
        setting_kinds.days(36_500_000),
        "after how many days a restore point expires; the newest complete restore point never expires",
        "30",
    )
    continue_from: int = setting(
        "CONTINUE_FROM_BYTES",
        setting_kinds.whole(1, 2**50, "bytes"),
        "the load of a file of this size or larger goes on in another invocation when time runs short",
        "268435456",
    )
    reject_limit: int = setting(
        "REJECT_LIMIT",
        setting_kinds.whole(1, 10_000_000, "lines"),
        "how many rejected rows of a file its reject file has at most; all rejected rows are counted, and rows that"
        " wait for their department or job are always in the file",
        "100000",
    )
    database_connections: int = setting(
        "DATABASE_CONNECTIONS",
        setting_kinds.whole(1, 262_143),
        "how many connections all functions together may have; the API may not use all of them, so that files and"
        " schedules find a free one; requests that find no free connection get 503; with `PROFILE=tiny`, the default is"
        " 50",
        "100",
    )
    notice_percent: float = setting(
        "NOTICE_REJECTED_PERCENT",
        setting_kinds.number(100, "percent"),
        "if a load rejects a larger part of its rows than this, a notice is sent; with 100, only failed loads cause"
        " notices",
        "10",
    )
    log_level: str = setting(
        "LOG_LEVEL",
        setting_kinds.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "the lowest level of the log lines that the functions write; `DEBUG` may show values of rows",
        "INFO",
    )
    database_tls: str = setting(
        "DATABASE_TLS",
        setting_kinds.choice("verify-full", "disable"),
        "whether the functions connect to the database over TLS and verify its certificate",
        "verify-full",
        stages=(AWS,),
    )
    api_origins: tuple[str, ...] = setting(
        "API_ORIGINS",
        setting_kinds.origins(),
        "other origins at which browsers reach the API, for example the origin of your own domain; pages of these"
        " origins may send requests to the API, and files to the landing bucket",
        shown="none",
        stages=(AWS,),
    )

    # --- set by the deployment
    database_url: str = computed(
        "DATABASE_URL", setting_kinds.text("a URL"), "the SQLAlchemy URL of the database", secret=True
    )
    database_secret: str = computed(
        "DATABASE_SECRET",
        setting_kinds.text("a name"),
        "the secret in Secrets Manager with the database URL, or with user and password in the format of RDS",
    )
    database_host: str = computed(
        "DATABASE_HOST",
        setting_kinds.text("a host"),
        "the database's host, as `host` or `host:port`, if the secret does not contain the host",
    )
    database_name: str = computed(
        "DATABASE_NAME", setting_kinds.text("a name"), "the database's name, if the secret does not contain the name"
    )
    database_iam: bool = computed(
        "DATABASE_IAM",
        setting_kinds.switch(),
        "`on`: the functions log in with an IAM token instead of a password; every connection gets a new token",
        "off",
    )
    database_ca: str = computed(
        "DATABASE_CA",
        setting_kinds.packaged_file(),
        "a file of the deployment package with the certificate authorities to trust; if not set, those of the system"
        " are trusted",
    )
    app_database_url: str = computed(
        "APP_DATABASE_URL",
        setting_kinds.text("a URL"),
        "the database URL with which the functions log in; only the migration gets this variable, because the migration"
        " itself logs in as the database owner",
        secret=True,
    )
    app_database_secret: str = computed(
        "APP_DATABASE_SECRET",
        setting_kinds.text("a name"),
        "the secret that contains the URL of `APP_DATABASE_URL`, instead of that variable",
    )
    landing_bucket: str = computed("LANDING_BUCKET", setting_kinds.text("a name"), "the bucket to which files are sent")
    errored_bucket: str = computed("ERRORED_BUCKET", setting_kinds.text("a name"), "the bucket of the reject files")
    backup_bucket: str = computed("BACKUP_BUCKET", setting_kinds.text("a name"), "the bucket of the restore points")
    dead_letter_queue: str = computed(
        "DEAD_LETTER_QUEUE", setting_kinds.text("a name"), "the queue for the events of loads that were given up"
    )
    notice_topic: str = computed(
        "NOTICE_TOPIC", setting_kinds.text("an ARN"), "the ARN of the SNS topic that gets the notices"
    )
    aws_calls: str = computed(
        "AWS_CALLS",
        setting_kinds.choice(DIRECT, BY_RELAY),
        "`relay`: the functions in the network of the database reach only Postgres and S3, so the function `relay`"
        " invokes other functions and measures the dead-letter queue for them; `direct`: they do both themselves",
        DIRECT,
    )
    s3_public_url: str = computed(
        "S3_PUBLIC_URL", setting_kinds.text("a URL"), "the URL at which clients reach the S3 of an emulator"
    )
    stage: str = computed("HIREFLOW_STAGE", setting_kinds.text("a name"), "the stage's name, for the metrics", LOCAL)
    release: str = computed("RELEASE", setting_kinds.text("a name"), "an id of the deployed code and settings")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read and validate the settings. Raises ConfigurationError, which names every setting that is wrong."""
        values: dict[str, Any] = {}
        wrong = [f"{name} is not set" for name in _REQUIRED if not env.get(name)]
        for attribute, each in declared():
            try:
                values[attribute] = each.read(env.get(each.name, ""))
            except ValueError as error:
                wrong.append(str(error))
        wrong += conflicts(env)
        if wrong:
            raise ConfigurationError("; ".join(wrong))
        return cls(**values)


_REQUIRED = ("LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET", "DEAD_LETTER_QUEUE")


def declared() -> Iterator[tuple[str, Setting]]:
    """Return every setting of the functions, with the name of its field in Settings."""
    return ((each.name, each.metadata["setting"]) for each in fields(Settings))


def conflicts(env: Mapping[str, str]) -> Iterator[str]:
    """Yield an error message for each combination of variables that is not allowed."""
    if not env.get("DATABASE_URL") and not env.get("DATABASE_SECRET"):
        yield "neither DATABASE_URL nor DATABASE_SECRET is set"
    if env.get("DATABASE_IAM") == "on" and env.get("DATABASE_TLS") == "disable":
        yield "DATABASE_IAM needs TLS: without TLS the token would be sent in plain text"


def read(env: Mapping[str, str], attribute: str) -> Any:
    """Read a single setting, even if others are missing or wrong. Raises ConfigurationError."""
    each = dict(declared())[attribute]
    try:
        return each.read(env.get(each.name, ""))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
