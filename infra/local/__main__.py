"""python -m infra.local up|down|clean|status|env|invoke NAME|token ROLE|tokens|revoke TOKEN [--stage STAGE]"""

import argparse
import json
import os
import sys
from pathlib import Path

from infra.errors import CloudError
from infra.local.commands import STAGES, Commands, commands
from infra.venv import ROOT

_WITH_NAME = {"invoke": "the name of a function", "token": "a role", "revoke": "a token or its id"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="The cloud of this checkout.")
    parser.add_argument("command", choices=["up", "down", "clean", "status", "env", *_WITH_NAME, "tokens"])
    parser.add_argument("name", nargs="?", help="a function of app.py, the role of a new token, or a token or its id")
    parser.add_argument("--note", default="", help="whose a new token is")
    parser.add_argument("--stage", default=os.environ.get("STAGE") or "local", help=f"one of {', '.join(STAGES)}")
    parser.add_argument("--source", type=Path, default=ROOT, help="the folder of app.py")
    args = parser.parse_args(arguments)
    if (args.command in _WITH_NAME) != bool(args.name):
        parser.error(f"`{args.command}` takes {_WITH_NAME.get(args.command, 'no name')}")
    try:
        cloud = commands(args.stage, args.source, _report)
        if args.command in ("token", "tokens", "revoke"):
            _administer(cloud, args.command, args.name, args.note)
        else:
            _run(cloud, args.command, args.name)
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


def _administer(cloud: Commands, command: str, name: str, note: str) -> None:
    """Create, list and revoke tokens. Of a new one only the token is printed, for `$(make -s token …)`."""
    if command == "token":
        print(cloud.invoke("tokens", {"action": "create", "role": name, "note": note})["token"])
    elif command == "revoke":
        revoked = cloud.invoke("tokens", {"action": "revoke", "token": name})
        print(f"{revoked['id']} was revoked at {revoked['revoked_at']}")
    else:
        for token in cloud.invoke("tokens", {"action": "list"}):
            state = f"revoked {token['revoked_at']}" if token["revoked_at"] else "valid"
            print(f"{token['id']}  {token['role']:<8}  {token['created_at']}  {state}  {token['note']}")


def _report(message: str) -> None:
    print(f"  {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
