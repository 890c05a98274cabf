"""The commands behind `make`: python -m infra.local COMMAND …"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cli.output import Output
from infra.commandline import exit_status, report
from infra.local.commands import Commands, commands, stages
from infra.local.verify import verify_backups
from infra.progress import Progress
from infra.venv import ROOT

Run = Callable[[Commands, argparse.Namespace], int | None]


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    run: Run = args.run
    progress = Progress(report)

    def work() -> int | None:
        cloud = commands(args.stage, args.source, progress.say)
        if not args.long:  # what it prints is for programs
            return run(cloud, args)
        with progress.running():
            return run(cloud, args)

    return exit_status(work)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--stage", default=os.environ.get("STAGE") or "local", help=f"one of {', '.join(stages(ROOT))}")
    common.add_argument("--source", type=Path, default=ROOT, help="the folder of app.py")
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="The cloud of this checkout.")
    known = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, about: str, run: Run, *, long: bool = False) -> argparse.ArgumentParser:
        command = known.add_parser(name, help=about, parents=[common])
        command.set_defaults(run=run, long=long)
        return command

    add("up", "start what is not running and deploy what has changed", lambda cloud, _: cloud.up(), long=True)
    add("down", "stop everything; its state stays", lambda cloud, _: cloud.down(), long=True)
    add("clean", "stop everything and delete its state", lambda cloud, _: cloud.clean(), long=True)
    add("status", "what runs, and where", _status)
    add("env", "what programs need to talk to it", _env)
    add("invoke", "call a function as its schedule would", _invoke).add_argument("function")
    verify = add("verify", "re-read backups and check everything", _verify)
    verify.add_argument("--point", help="this restore point instead of the newest one")
    verify.add_argument("--all", action="store_true", help="all restore points, from that one back")
    return parser


def _status(cloud: Commands, _: argparse.Namespace) -> None:
    Output(sys.stdout, for_people=True).facts(cloud.status())


def _env(cloud: Commands, _: argparse.Namespace) -> None:
    cloud.state.read_env()
    print(cloud.state.env_file.read_text(), end="")


def _invoke(cloud: Commands, args: argparse.Namespace) -> None:
    result = cloud.invoke(args.function)
    point = result.get("restore_point") if isinstance(result, dict) else None
    print(point or json.dumps(result))


def _verify(cloud: Commands, args: argparse.Namespace) -> int:
    return verify_backups(cloud.invoke_scheduled, args.point, every=args.all)


if __name__ == "__main__":
    sys.exit(main())
