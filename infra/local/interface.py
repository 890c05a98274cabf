"""Parses the arguments of the commands behind `make`, and prints their output."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from cli.output import Output
from infra.commandline import report
from infra.local import serving, status
from infra.local.commands import STAGES, Commands, commands, stages
from infra.local.verify import verify_backups
from infra.progress import Progress
from infra.settings import table
from infra.settings.chosen import Chosen
from infra.venv import ROOT

Run = Callable[[Commands, argparse.Namespace], int | None]


def run(arguments: list[str] | None = None) -> int | None:
    """Run a command. Return its exit status; None means 0. Raises CloudError."""
    args = _parser().parse_args(arguments)
    command: Run = args.run
    progress = Progress(report)
    cloud = commands(args.stage, args.source, progress.say)
    if not args.long:  # programs may read the output of a short command, so print no progress
        return command(cloud, args)
    with progress.running():
        return command(cloud, args)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--stage", default=os.environ.get("STAGE") or "local", help=f"one of {', '.join(stages(ROOT))}")
    common.add_argument("--source", type=Path, default=ROOT, help="the folder of app.py")
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="Run the platform on this machine.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, about: str, run: Run, *, long: bool = False) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=about, parents=[common])
        command.set_defaults(run=run, long=long)
        return command

    deploy = "start what is not running and deploy what has changed"
    up = add("up", deploy, lambda cloud, args: cloud.up(args.reset), long=True)
    up.add_argument(
        "--reset", default=(), type=str.split, help="names of settings to set back to their defaults, or ALL"
    )
    add("down", "stop all servers; their state stays", lambda cloud, _: cloud.down(), long=True)
    add("clean", "stop all servers and delete their state", lambda cloud, _: cloud.clean(), long=True)
    add("status", "print which servers run, and their addresses", _status)
    serve = add(
        "serve",
        "serve the API of this checkout with chalice local",
        lambda cloud, args: serving.serve(cloud, args.port),
    )
    serve.add_argument("--port", type=int, default=8000)
    add("check", "fail unless the whole stage runs, and say what to do", lambda cloud, _: cloud.check_running())
    add("env", "print the addresses and credentials that programs need", _env)
    add("invoke", "invoke a function with the event of its schedule", _invoke).add_argument("function")
    verify = add("verify", "read restore points again and compare them with their manifests", _verify)
    verify.add_argument("--point", help="the name of a restore point (default: the newest one)")
    verify.add_argument("--all", action="store_true", help="also verify all older restore points")
    return parser


def _status(cloud: Commands, _: argparse.Namespace) -> None:
    if cloud.stage not in STAGES:
        from infra.deploy.interface import account  # only stages on AWS need this import

        on_aws = account(cloud.stage)
        _show_status(on_aws.status(), on_aws.kept_settings(), on_aws.settings(), [], f"make deploy STAGE={cloud.stage}")
    else:
        kept = cloud.kept_settings()
        _show_status(cloud.status(), kept, cloud.settings(), cloud.not_deployed(kept), cloud.make_up)


def _show_status(
    shown: Mapping[str, str], chosen: Chosen, now: Chosen, not_deployed: Collection[str], command: str
) -> None:
    """Print the status. `chosen` are the kept settings. `now` are the settings that `command` would use here."""
    out = Output(sys.stdout, for_people=True)
    out.facts({**shown, "tokens": status.ABOUT_TOKENS[chosen.authentication]})
    out.line()
    out.table(table.COLUMNS, table.rows(chosen), flexible=("value",))
    if changes := sorted({*chosen.differing(now), *not_deployed}):
        print(f"\nthe next {command} changes: {', '.join(f'{name} to {now.values[name].shown}' for name in changes)}")


def _env(cloud: Commands, _: argparse.Namespace) -> None:
    cloud.read_env()
    print(cloud.state.env_file.read_text(), end="")


def _invoke(cloud: Commands, args: argparse.Namespace) -> None:
    result = cloud.invoke(args.function)
    point = result.get("restore_point") if isinstance(result, dict) else None
    print(point or json.dumps(result))


def _verify(cloud: Commands, args: argparse.Namespace) -> int:
    return verify_backups(cloud.invoke_scheduled, args.point, every=args.all)
