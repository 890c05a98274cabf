"""The settings of the functions: declared, read and checked here, once per process.

Every field of `Settings` declares one environment variable. A new line there is all that a new setting needs: it is
then checked, kept per stage, shown by `make status` and in docs/settings.md, and passed to the functions (see
infra/settings, which also declares the settings of this machine).
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
LOCAL, LOCALSTACK, AWS = "local", "localstack", "AWS"  # AWS: every stage that is deployed to an account
EVERYWHERE = (LOCAL, LOCALSTACK, AWS)
# What no line of a file of settings can hold: ends of lines, and what stands for bytes that are not UTF-8.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Setting:
    """An environment variable.

    `default` is written as a user would write it; empty means that there is none. `local` is the default on the stage
    `local`, where it is another one. `shown` describes a default that is no fixed value. `stages` are those where a
    user may set it. Without any, the deployment sets it. `kept` says whether a stage remembers what it was given.
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
        """The value of a text, or of the default if the text is empty. Raises ValueError, whose text says what is
        wrong: without the value if that is secret."""
        given = text.strip() or self.default
        if not given:
            return self.kind.empty
        what = self.name if self.secret else f"{self.name}={given[:80]}"
        try:
            value = self.kind.read(given)
        except ValueError:
            raise ValueError(f"{what} is not {self.kind.allowed}") from None
        if self.kept and _UNFIT.search(given):
            raise ValueError(f"{what} holds control characters, line separators, or bytes that are not UTF-8")
        return value


def setting(name: str, kind: Kind[T], about: str, default: str = "", **more: Any) -> T:
    """A field of Settings that is read from the environment variable `name`: see Setting."""
    declared = Setting(name, kind, about, default, **more)
    # The type is that of the value, so that mypy compares the field's annotation with the kind.
    return cast(T, field(default=declared.read(""), repr=not declared.secret, metadata={"setting": declared}))


def computed(name: str, kind: Kind[T], about: str, default: str = "", **more: Any) -> T:
    """Likewise, of a variable that the deployment sets."""
    return setting(name, kind, about, default, stages=(), **more)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a deployed function may know about its surroundings."""

    # --- of users
    authentication: bool = setting(
        "HIREFLOW_AUTH",
        setting_kinds.switch(),
        "whether requests need a token; only the stage `local` can do without",
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
        "when a restore point expires; the newest complete one never does",
        "30",
    )
    continue_from: int = setting(
        "CONTINUE_FROM_BYTES",
        setting_kinds.whole(1, 2**50, "bytes"),
        "from this size on, a file's load goes on in another invocation when time runs short",
        "268435456",
    )
    database_connections: int = setting(
        "DATABASE_CONNECTIONS",
        setting_kinds.whole(1, 262_143),
        "how many connections the functions may have, all together; callers beyond get 503",
        "100",
    )
    log_level: str = setting(
        "LOG_LEVEL",
        setting_kinds.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "the least serious log lines that the functions write; `DEBUG` may show what rows hold",
        "INFO",
    )
    database_tls: str = setting(
        "DATABASE_TLS",
        setting_kinds.choice("verify-full", "disable"),
        "whether the functions reach the database over TLS and check its certificate",
        "verify-full",
        stages=(AWS,),
    )

    # --- of the deployment
    database_url: str = computed(
        "DATABASE_URL", setting_kinds.text("a URL"), "the SQLAlchemy URL of the database", secret=True
    )
    database_secret: str = computed(
        "DATABASE_SECRET",
        setting_kinds.text("a name"),
        "the secret of Secrets Manager that holds this URL, or user and password as RDS writes them",
    )
    database_host: str = computed(
        "DATABASE_HOST", setting_kinds.text("a host"), "`host` or `host:port`, for a secret that does not name it"
    )
    database_name: str = computed("DATABASE_NAME", setting_kinds.text("a name"), "the database, likewise")
    database_iam: bool = computed(
        "DATABASE_IAM",
        setting_kinds.switch(),
        "`on`: log in with a token of IAM, signed for every connection, in place of a password",
        "off",
    )
    database_ca: str = computed(
        "DATABASE_CA", setting_kinds.packaged_file(), "the authorities to trust: a file of the package, or the system's"
    )
    app_database_url: str = computed(
        "APP_DATABASE_URL",
        setting_kinds.text("a URL"),
        "for the migration, which logs in as the schema's owner: the URL of the functions' role",
        secret=True,
    )
    app_database_secret: str = computed(
        "APP_DATABASE_SECRET", setting_kinds.text("a name"), "or the secret that holds it"
    )
    landing_bucket: str = computed("LANDING_BUCKET", setting_kinds.text("a name"), "where files arrive")
    errored_bucket: str = computed("ERRORED_BUCKET", setting_kinds.text("a name"), "where rejected rows go")
    backup_bucket: str = computed("BACKUP_BUCKET", setting_kinds.text("a name"), "where restore points are")
    dead_letter_queue: str = computed(
        "DEAD_LETTER_QUEUE", setting_kinds.text("a name"), "where events of loads go that were given up"
    )
    s3_public_url: str = computed(
        "S3_PUBLIC_URL", setting_kinds.text("a URL"), "where callers reach the S3 of an emulator"
    )
    stage: str = computed("HIREFLOW_STAGE", setting_kinds.text("a name"), "the stage, which metrics name", LOCAL)
    release: str = computed("RELEASE", setting_kinds.text("a name"), "which code and settings were deployed")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings, or raise ConfigurationError naming every one that is wrong."""
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
    """Every variable of the functions, with the field of Settings that holds its value."""
    return ((each.name, each.metadata["setting"]) for each in fields(Settings))


def conflicts(env: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with several variables together."""
    if not env.get("DATABASE_URL") and not env.get("DATABASE_SECRET"):
        yield "neither DATABASE_URL nor DATABASE_SECRET is set"
    if env.get("DATABASE_IAM") == "on" and env.get("DATABASE_TLS") == "disable":
        yield "DATABASE_IAM needs TLS: a token is sent as it is"


def read(env: Mapping[str, str], attribute: str) -> Any:
    """One setting alone, before the others are there. Raises ConfigurationError."""
    each = dict(declared())[attribute]
    try:
        return each.read(env.get(each.name, ""))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
