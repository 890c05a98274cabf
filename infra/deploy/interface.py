"""Parses the arguments of the commands behind `make deploy`, `plan`, `destroy` and `unlock`, and runs them."""

import argparse
import os
import signal
from collections.abc import Collection
from types import FrameType

from infra.aws import stacks
from infra.commandline import report
from infra.deploy import stage_names
from infra.deploy.account import Account
from infra.errors import CloudError
from infra.local.commands import STAGES, stages
from infra.local.state import State
from infra.venv import ROOT


def run(arguments: list[str] | None = None) -> None:
    """Run a command. Raises CloudError."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy", description="Deploy, plan, destroy or unlock a stage in an AWS account."
    )
    parser.add_argument("command", choices=("deploy", "plan", "destroy", "unlock"))
    parser.add_argument("--stage", default=os.environ.get("STAGE") or "")
    parser.add_argument("--reset", default=(), type=str.split, help="settings to set back to their defaults, or ALL")
    args = parser.parse_args(arguments)
    if args.stage in STAGES:
        raise CloudError(f"stage {args.stage} is on this machine: {_instead(args.command)}")
    # A pipeline that is cancelled sends SIGTERM, which would skip the end of the command, and so leave its lock behind.
    signal.signal(signal.SIGTERM, _interrupt)
    _carry_out(args.command, account(args.stage, args.reset))


def account(stage: str, reset: Collection[str] = ()) -> Account:
    """Return a stage in an account. Raises CloudError if the stage is not declared, or cannot be on AWS."""
    if stage not in stages(ROOT):
        raise CloudError(
            f"stage {stage or '?'} is not declared in .chalice/config.json: "
            f"set STAGE={' or '.join(_others())}, or add the stage to this file"
        )
    stage_names.check(stage)
    return Account(stage, ROOT, State.of(stage), stacks, report, os.environ, reset)


def _instead(command: str) -> str:
    """Return what to do if a command for stages on AWS was given for a stage on this machine."""
    named = f"add STAGE={' or '.join(_others())}"
    match command:
        case "deploy":
            return f"use make up, or {named} for a stage on AWS"
        case "destroy":
            return f"use make clean, or {named} for a stage on AWS"
        case _:
            return f"{named}, because make {command} is for stages on AWS"


def _carry_out(command: str, account: Account) -> None:
    if command == "deploy":
        report(f"ready: {account.deploy()}")
    elif command == "plan":
        for line in account.plan().lines():
            print(line)
    elif command == "unlock":
        report(account.unlock())
    else:
        account.destroy()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _others() -> list[str]:
    return [stage for stage in stages(ROOT) if stage not in STAGES]
