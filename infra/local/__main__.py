"""python -m infra.local up|down|clean|status|env|invoke NAME|verify [--point POINT] [--all] [--stage STAGE]"""

import argparse
import json
import os
import sys
from pathlib import Path

from infra.errors import CloudError
from infra.local.commands import STAGES, Commands, commands
from infra.local.verify import verify_backups
from infra.venv import ROOT


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="The cloud of this checkout.")
    parser.add_argument("command", choices=["up", "down", "clean", "status", "env", "invoke", "verify"])
    parser.add_argument("function", nargs="?", help="of `invoke`: a scheduled function of app.py")
    parser.add_argument("--stage", default=os.environ.get("STAGE") or "local", help=f"one of {', '.join(STAGES)}")
    parser.add_argument("--source", type=Path, default=ROOT, help="the folder of app.py")
    parser.add_argument("--point", help="of `verify`: this restore point instead of the newest one")
    parser.add_argument("--all", action="store_true", help="of `verify`: all restore points, from that one back")
    args = parser.parse_args(arguments)
    if (args.command == "invoke") != (args.function is not None):
        parser.error("`invoke` takes the name of a function, the others take none")
    try:
        cloud = commands(args.stage, args.source, _report)
        if args.command == "verify":
            return verify_backups(cloud.invoke, args.point, every=args.all)
        _run(cloud, args.command, args.function)
    except CloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _run(cloud: Commands, command: str, function: str | None) -> None:
    if command == "up":
        cloud.up()
    elif command == "down":
        cloud.down()
    elif command == "clean":
        cloud.clean()
    elif command == "status":
        for name, value in cloud.status().items():
            print(f"{name:<10} {value}")
    elif command == "env":
        cloud.state.read_env()
        print(cloud.state.env_file.read_text(), end="")
    elif function is not None:
        result = cloud.invoke(function)
        point = result.get("restore_point") if isinstance(result, dict) else None
        print(point or json.dumps(result))


def _report(message: str) -> None:
    print(f"  {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
