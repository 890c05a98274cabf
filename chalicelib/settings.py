"""The environment, read and checked once per process."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from chalicelib.errors import ConfigurationError

_ROOT = Path(__file__).parents[1]  # where a function's package is unpacked
_DECIMAL = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.ASCII)
_REQUIRED = ("LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET", "DEAD_LETTER_QUEUE")


@dataclass(frozen=True)
class Settings:
    """What a deployed function may know about its surroundings.

    `database_url` is a SQLAlchemy URL; where it is empty, `database_secret` names the secret that holds
    it, or holds user and password as RDS writes them. `database_host` (with `:port` where it is not 5432) and
    `database_name` stand in for what such a secret says of them, or leaves out. With `database_iam` the password
    is a token of IAM. Buckets and queue are names; metrics name their `stage`; `s3_public_url` is where callers
    reach S3, empty for its usual addresses. `database_tls` is `verify-full` or `disable`; `database_ca` is the
    file of the authorities that are trusted then, empty for the system's; `database_connections` bounds the
    connections of all functions together (the migration sets it); `authentication` whether requests need a
    token; `orphan_grace` is how long a row waits for its parent; `backup_retention` how long a restore point is
    kept.
    """

    database_url: str = field(repr=False)  # holds a password
    database_secret: str
    landing_bucket: str
    errored_bucket: str
    backup_bucket: str
    dead_letter_queue: str
    stage: str = "local"
    s3_public_url: str = ""
    database_host: str = ""
    database_name: str = ""
    database_iam: bool = False
    database_tls: str = "verify-full"
    database_ca: str = ""
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
        authentication = _switch(env, "HIREFLOW_AUTH", "on", wrong)
        iam = _switch(env, "DATABASE_IAM", "off", wrong)
        tls = env.get("DATABASE_TLS", "verify-full")
        if tls not in ("verify-full", "disable"):
            wrong.append("DATABASE_TLS is neither verify-full nor disable")
        if iam and tls == "disable":
            wrong.append("DATABASE_IAM needs TLS: a token is sent as it is")
        ca = str(_ROOT / env["DATABASE_CA"]) if env.get("DATABASE_CA") else ""
        if ca and not Path(ca).is_file():
            wrong.append("DATABASE_CA names no file")
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
            database_host=env.get("DATABASE_HOST", ""),
            database_name=env.get("DATABASE_NAME", ""),
            database_iam=iam,
            database_tls=tls,
            database_ca=ca,
            database_connections=int(connections),
            authentication=authentication,
            orphan_grace=timedelta(minutes=grace),
            backup_retention=timedelta(days=retention),
            continue_from=int(continue_from),
        )


def _switch(env: Mapping[str, str], name: str, default: str, wrong: list[str]) -> bool:
    value = env.get(name) or default
    if value not in ("on", "off"):
        wrong.append(f"{name} is neither on nor off")
    return value == "on"


def _positive(env: Mapping[str, str], name: str, default: float, wrong: list[str], most: float = 36_500_000) -> float:
    text = (env.get(name) or str(default)).strip()
    value = float(text) if _DECIMAL.fullmatch(text) else 0.0  # float() accepts 1_0, and digits of any script
    if not 0 < value <= most:
        wrong.append(f"{name} is not a positive number")
    return value
