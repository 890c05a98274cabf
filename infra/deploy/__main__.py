"""The commands behind `make deploy`, `plan` and `destroy`: python -m infra.deploy COMMAND --stage STAGE."""

import argparse
import os
import sys

from infra.aws import stacks
from infra.commandline import exit_status, report
from infra.deploy.account import Account
from infra.errors import CloudError
from infra.local.commands import STAGES, stages
from infra.local.state import State
from infra.venv import ROOT


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description="A stage in an account of AWS.")
    parser.add_argument("command", choices=("deploy", "plan", "destroy"))
    parser.add_argument("--stage", default=os.environ.get("STAGE") or "")
    args = parser.parse_args(arguments)
    return exit_status(lambda: run(args.command, args.stage))


def run(command: str, stage: str) -> None:
    """Raises CloudError."""
    if stage in STAGES:
        raise CloudError(f"stage {stage} is on this machine: make {'up' if command != 'destroy' else 'clean'}")
    if stage not in stages(ROOT):
        raise CloudError(
            f"stage {stage or '?'} is not declared in .chalice/config.json: STAGE={' or '.join(_others())}"
        )
    account = Account(stage, ROOT, State.of(stage), stacks, report, os.environ)
    if command == "deploy":
        report(f"ready: {account.deploy()}")
    elif command == "plan":
        for line in account.plan().lines():
            print(line)
    else:
        account.destroy()


def _others() -> list[str]:
    return [stage for stage in stages(ROOT) if stage not in STAGES]


if __name__ == "__main__":
    sys.exit(main())
