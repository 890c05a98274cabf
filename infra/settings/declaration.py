"""Every setting: those of the functions (see chalicelib.core.settings), and those of the machine that deploys."""

import os
from collections.abc import Iterator
from pathlib import Path

from chalicelib.core import setting_kinds
from chalicelib.core.setting_kinds import Kind
from chalicelib.core.settings import AWS, EVERYWHERE, LOCAL, LOCALSTACK, Setting, declared

HERE = (LOCAL, LOCALSTACK)
_URLS = ("postgresql+pg8000", "postgresql")


def folder_of(*programs: str) -> Kind[str]:
    """A folder with these programs."""

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


# Postgres keeps some names for itself, cuts others after 63 bytes, and the functions' role is this one with `_app`.
_USER = setting_kinds.text(
    "a name for a role: at most 59 characters, not postgres or pg_…", r"(?!postgres$|pg_)[\x21-\x7e]{1,59}"
)

MACHINE = (
    Setting(
        "HIREFLOW_PORT",
        setting_kinds.port(),
        "port of the embedded AWS, on 127.0.0.1 only",
        shown="a free one",
        stages=HERE,
    ),
    Setting(
        "HIREFLOW_PG_PORT", setting_kinds.port(), "port of Postgres, on 127.0.0.1 only", shown="a free one", stages=HERE
    ),
    Setting("HIREFLOW_PG_USER", _USER, "the database's owner", shown="`hireflow`", stages=HERE),
    Setting(
        "HIREFLOW_PG_PASSWORD",
        setting_kinds.text("a text without control characters"),
        "the owner's password",
        shown="generated",
        stages=HERE,
        secret=True,
    ),
    Setting(
        "HIREFLOW_PG_BIN",
        folder_of("postgres", "initdb"),
        "the folder of Postgres's programs, 15 to 18",
        shown="a wheel's, else the system's",
        stages=(LOCAL,),
    ),
    Setting(
        "HIREFLOW_STATE_DIR",
        setting_kinds.text("a folder"),
        "where everything of a stage is kept",
        shown="`.local`, or `.local-<stage>`",
        stages=EVERYWHERE,
        kept=False,
    ),
    Setting(
        "AWS_ENDPOINT_URL",
        setting_kinds.url("http", "https"),
        "what `STAGE=localstack` uses in place of Docker, with the AWS credentials of the environment, if any",
        shown="LocalStack in Docker",
        stages=(LOCALSTACK,),
    ),
    Setting(
        "DATABASE_URL",
        setting_kinds.url(*_URLS),
        "a Postgres of your own, in place of Docker's or Aurora; on AWS functions must reach it from outside of a VPC",
        shown="Postgres in Docker; Aurora",
        stages=(LOCALSTACK, AWS),
        secret=True,
    ),
    Setting(
        "DATABASE_CA",
        file(),
        "a file of the authorities that vouch for that Postgres; it ships with the functions",
        shown="the system's",
        stages=(AWS,),
    ),
    Setting(
        "HIREFLOW_FUNCTIONS_DATABASE_URL",
        setting_kinds.url(*_URLS),
        "the database of `DATABASE_URL`, where functions reach it under another address",
        shown="`DATABASE_URL`",
        stages=(LOCALSTACK,),
        secret=True,
    ),
    Setting(
        "SMOKE",
        setting_kinds.choice("write"),
        "whether the smoke test of `make deploy` also has a file loaded, of one row that is rejected",
        stages=(AWS,),
        kept=False,
    ),
)
# Names that are ours, but no settings of a stage: those of the tests, and those that we set for docker compose.
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
    """LOCAL, LOCALSTACK or AWS."""
    return stage if stage in HERE else AWS


def default(each: Setting, stage: str) -> str:
    """The default of a setting on this stage; empty where there is none."""
    return each.local if stage == LOCAL and each.local is not None else each.default


def applying(stage: str) -> Iterator[Setting]:
    """What a user may set on this stage."""
    return (each for each in OF_USERS if place(stage) in each.stages)


def passed(stage: str) -> Iterator[Setting]:
    """What a user may set on this stage, and the functions read."""
    return (each for each in applying(stage) if each in _OF_FUNCTIONS)
