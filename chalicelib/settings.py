"""The environment, read and checked once per process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.errors import ConfigurationError

_REQUIRED = ("LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET", "DEAD_LETTER_QUEUE")


@dataclass(frozen=True)
class Settings:
    """What a deployed function may know about its surroundings.

    `database_url` is a SQLAlchemy URL; where it is empty, `database_secret` names the secret that holds
    it. Buckets and queue are names; metrics name their `stage`; `s3_public_url` is where callers reach S3,
    empty for its usual addresses. `database_tls` is `verify-full` or `disable`; `database_connections` bounds
    the connections of all functions together (the migration sets it); `authentication` whether requests need
    a token; `orphan_grace` is how long a row waits for its parent; `backup_retention` how long a restore
    point is kept; objects of `continue_from` bytes and more are loaded by several invocations, if need be.
    """

    database_url: str = field(repr=False)  # holds a password
    database_secret: str
    landing_bucket: str
    errored_bucket: str
    backup_bucket: str
    dead_letter_queue: str
    stage: str = "local"
    s3_public_url: str = ""
    database_tls: str = "verify-full"
    database_connections: int = 100
    authentication: bool = True
    orphan_grace: timedelta = timedelta(minutes=15)
    backup_retention: timedelta = timedelta(days=30)
    continue_from: int = 256 * 1024 * 1024  # a few million rows, or ten times as many packed ones

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings, or raise ConfigurationError naming every one that is wrong."""
        wrong = [f"{name} is not set" for name in _REQUIRED if not env.get(name)]
        if not env.get("DATABASE_URL") and not env.get("DATABASE_SECRET"):
            wrong.append("neither DATABASE_URL nor DATABASE_SECRET is set")
        authentication = env.get("HIREFLOW_AUTH") or "on"
        if authentication not in ("on", "off"):
            wrong.append("HIREFLOW_AUTH is neither on nor off")
        tls = env.get("DATABASE_TLS", "verify-full")
        if tls not in ("verify-full", "disable"):
            wrong.append("DATABASE_TLS is neither verify-full nor disable")
        grace = _positive(env, "ORPHAN_GRACE_MINUTES", 15, wrong)
        retention = _positive(env, "BACKUP_RETENTION_DAYS", 30, wrong)
        continue_from = _positive(env, "CONTINUE_FROM_BYTES", cls.continue_from, wrong, most=2**50)
        connections = _positive(env, "DATABASE_CONNECTIONS", 100, wrong)
        if wrong:
            raise ConfigurationError("; ".join(wrong))
        return cls(
            database_url=env.get("DATABASE_URL", ""),
            database_secret=env.get("DATABASE_SECRET", ""),
            landing_bucket=env["LANDING_BUCKET"],
            errored_bucket=env["ERRORED_BUCKET"],
            backup_bucket=env["BACKUP_BUCKET"],
            dead_letter_queue=env["DEAD_LETTER_QUEUE"],
            stage=env.get("HIREFLOW_STAGE") or "local",
            s3_public_url=env.get("S3_PUBLIC_URL", ""),
            database_tls=tls,
            database_connections=int(connections),
            authentication=authentication == "on",
            orphan_grace=timedelta(minutes=grace),
            backup_retention=timedelta(days=retention),
            continue_from=int(continue_from),
        )


def _positive(env: Mapping[str, str], name: str, default: float, wrong: list[str], most: float = 36_500_000) -> float:
    try:
        value = float(env.get(name) or default)
    except ValueError:
        value = 0.0
    if not 0 < value <= most:
        wrong.append(f"{name} is not a positive number")
    return value
