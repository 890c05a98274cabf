"""Declares the settings of the machine that deploys, and lists them with those of the functions.

chalicelib.core.settings declares the settings of the functions.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from chalicelib.core import setting_kinds
from chalicelib.core.setting_kinds import Kind
from chalicelib.core.settings import AWS, EVERYWHERE, LOCAL, LOCALSTACK, Setting, declared
from infra.aws.profiles import PROFILES

HERE = (LOCAL, LOCALSTACK)
_URLS = ("postgresql+pg8000", "postgresql")


def folder_of(*programs: str) -> Kind[str]:
    """Return the kind of a setting that names a folder with these programs."""

    def read(given: str) -> str:
        if not all(os.access(Path(given, program), os.X_OK) for program in programs):
            raise ValueError
        return str(Path(given).absolute())

    return Kind(f"a folder with the programs {' and '.join(programs)}", read, "")


def file() -> Kind[str]:
    def read(given: str) -> str:
        if not Path(given).is_file():
            raise ValueError
        return str(Path(given).absolute())

    return Kind("a file", read, "")


# Postgres reserves some names, and truncates names after 63 bytes. The name of the functions' role is 4 bytes longer,
# because `_app` is added to this name.
_USER = setting_kinds.text(
    "a name for a role: at most 59 characters, not postgres or pg_…", r"(?!postgres$|pg_)[\x21-\x7e]{1,59}"
)

MACHINE = (
    Setting(
        "HIREFLOW_PORT",
        setting_kinds.port(),
        "the port of the embedded AWS, on 127.0.0.1 only",
        shown="a free one",
        stages=HERE,
    ),
    Setting(
        "HIREFLOW_PG_PORT",
        setting_kinds.port(),
        "the port of Postgres, on 127.0.0.1 only",
        shown="a free one",
        stages=HERE,
    ),
    Setting("HIREFLOW_PG_USER", _USER, "the name of the database owner", shown="`hireflow`", stages=HERE),
    Setting(
        "HIREFLOW_PG_PASSWORD",
        setting_kinds.text("a text without control characters"),
        "the password of the database owner",
        shown="generated",
        stages=HERE,
        secret=True,
    ),
    Setting(
        "HIREFLOW_PG_BIN",
        folder_of("postgres", "initdb"),
        "the folder with the programs of Postgres 15 to 18",
        shown="of a Python wheel, else of the system",
        stages=(LOCAL,),
    ),
    Setting(
        "HIREFLOW_STATE_DIR",
        setting_kinds.text("a folder"),
        "the folder with all files of a stage",
        shown="`.local`, or `.local-<stage>`",
        stages=EVERYWHERE,
        kept=False,
    ),
    Setting(
        "AWS_ENDPOINT_URL",
        setting_kinds.url("http", "https"),
        "the AWS endpoint of `STAGE=localstack`, instead of Docker; the AWS credentials come from the environment",
        shown="LocalStack in Docker",
        stages=(LOCALSTACK,),
    ),
    Setting(
        "PROFILE",
        setting_kinds.choice(*PROFILES),
        "what AWS runs for the stage, which decides its costs: see [the profiles](aws.md#profiles)",
        shown="`standard`; with a `DATABASE_URL`, `existing`",
        stages=(AWS,),
    ),
    Setting(
        "DATABASE_SNAPSHOT",
        setting_kinds.text("the name or the ARN of a snapshot", r"[A-Za-z][\w:.-]{0,254}"),
        "the snapshot of RDS from which the database of a new stage is created",
        shown="an empty database",
        stages=(AWS,),
    ),
    Setting(
        "DATABASE_URL",
        setting_kinds.url(*_URLS),
        "your own Postgres, instead of the Postgres in Docker or Aurora; on AWS, functions reach it without a VPC",
        shown="Postgres in Docker; Aurora",
        stages=(LOCALSTACK, AWS),
        secret=True,
    ),
    Setting(
        "DATABASE_CA",
        file(),
        "a file with the certificate authorities of the database; the file is deployed with the functions; not for"
        " `PROFILE=standard`",
        shown="the authorities of the system; with `small` and `tiny`, those of RDS",
        stages=(AWS,),
    ),
    Setting(
        "HIREFLOW_FUNCTIONS_DATABASE_URL",
        setting_kinds.url(*_URLS),
        "the URL with which functions reach the database, if they need another URL than `DATABASE_URL`",
        shown="`DATABASE_URL`",
        stages=(LOCALSTACK,),
        secret=True,
    ),
    Setting(
        "NOTICE_EMAIL",
        setting_kinds.text("an email address", r"[^@\s]+@[^@\s]+"),
        "the address that gets notices about failed loads, rejected rows and late backups; its owner must first confirm"
        " the [subscription](monitoring.md#notices)",
        shown="nobody",
        stages=EVERYWHERE,
    ),
    Setting(
        "NOTICE_WEBHOOK",
        setting_kinds.url("https", "http"),
        "the URL to which SNS sends the same notices; its owner must first confirm the"
        " [subscription](monitoring.md#notices); on AWS, it must begin with https://",
        shown="none",
        stages=EVERYWHERE,
    ),
    Setting(
        "API_RATE_LIMIT",
        setting_kinds.whole(1, 10_000, "requests"),
        "how many requests a second each method of the API accepts; for a moment, a method accepts twice as many;"
        " further requests get 429",
        "50",
        stages=(AWS,),
    ),
    Setting(
        "TRACING",
        setting_kinds.switch(),
        "whether AWS X-Ray traces requests to the API and invocations of functions; AWS charges for each trace",
        "off",
        stages=(AWS,),
    ),
    Setting(
        "SMOKE",
        setting_kinds.choice("write"),
        "`write`: the smoke test of `make deploy` also loads a file, whose only record is rejected",
        stages=(AWS,),
        kept=False,
    ),
)
# Names that begin with HIREFLOW_ but are no settings of a stage. Tests and docker compose use them.
OTHERS = (
    "HIREFLOW_BROWSER",
    "HIREFLOW_CHALLENGE_DATA",
    "HIREFLOW_FAULT_SEED",
    "HIREFLOW_HISTORY",
    "HIREFLOW_NETWORK",
    "HIREFLOW_SCREENSHOTS",
    "HIREFLOW_SUPERUSER_PASSWORD",
)
_OF_FUNCTIONS = tuple(each for _, each in declared())
OF_USERS = tuple(each for each in (*_OF_FUNCTIONS, *MACHINE) if each.stages)
COMPUTED = tuple(each for each in _OF_FUNCTIONS if not each.stages)


def place(stage: str) -> str:
    """Return the place of a stage: LOCAL, LOCALSTACK or AWS."""
    return stage if stage in HERE else AWS


def default(each: Setting, stage: str) -> str:
    """Return the default of a setting on this stage, empty if it has none."""
    return each.local if stage == LOCAL and each.local is not None else each.default


def applying(stage: str) -> Iterator[Setting]:
    """Return the settings that a user may choose on this stage."""
    return (each for each in OF_USERS if place(stage) in each.stages)


def passed(stage: str) -> Iterator[Setting]:
    """Return the settings that a user may choose on this stage and that the functions read."""
    return (each for each in applying(stage) if each in _OF_FUNCTIONS)
