"""health, open, token and logs: the stage itself, for its operators."""

import json
import time
import webbrowser
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Annotated, Any

import typer

from chalicelib.access import Role
from infra.cli import options
from infra.cli.loglines import Line, in_order
from infra.cli.options import Json
from infra.cli.tools import Tools
from infra.errors import CloudError

token = typer.Typer(help="Tokens for the API, given out by an operator of the stage.", no_args_is_help=True)
_ROLES = tuple(role.value for role in Role)


def health(context: typer.Context, as_json: Json = False) -> None:
    """Show whether the service and what it stands on are well; status 1 where they are not."""
    tools = Tools.of(context)
    answer = tools.api.send("GET", "/health", accepted=(HTTPStatus.SERVICE_UNAVAILABLE,))
    found = answer.json()
    if as_json:
        tools.out.json(found)
    else:
        tools.out.facts({name: _fact(value) for name, value in found.items()})
    raise typer.Exit(0 if answer.is_success else 1)


def open_dashboard(
    context: typer.Context,
    browser: Annotated[bool, typer.Option("--browser", help="Open it in the browser, too.")] = False,
) -> None:
    """Print the address of the dashboard."""
    tools = Tools.of(context)
    url = f"{tools.config.api_url}/"
    tools.out.line(url)
    if browser and not webbrowser.open(url):
        raise CloudError("no browser could be opened")


def _role(value: str) -> str:
    if value not in _ROLES:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(_ROLES)}")
    return value


@token.command("new")
def token_new(
    context: typer.Context,
    role: Annotated[str, typer.Argument(callback=_role, metavar="|".join(_ROLES), show_default=False)],
    note: Annotated[str, typer.Option(help="Whose it is.")] = "",
) -> None:
    """Print a new token. It is shown this once."""
    tools = Tools.of(context)
    tools.out.line(tools.invoke("tokens", {"action": "create", "role": role, "note": note})["token"])


@token.command("list")
def token_list(context: typer.Context, as_json: Json = False) -> None:
    """List the tokens that were given out, the newest first."""
    tools = Tools.of(context)
    found: list[dict[str, Any]] = tools.invoke("tokens", {"action": "list"})
    if as_json:
        tools.out.json(found)
        return
    columns = ("id", "role", "created_at", "revoked_at", "note")
    tools.out.table(columns, [[entry[column] for column in columns] for entry in found], ["note"])


@token.command("revoke")
def token_revoke(
    context: typer.Context,
    revoked: Annotated[str, typer.Argument(metavar="TOKEN", show_default=False, help="Its id, or itself.")],
) -> None:
    """End a token."""
    tools = Tools.of(context)
    found = tools.invoke("tokens", {"action": "revoke", "token": revoked})
    tools.out.line(f"{found['id']} was revoked at {found['revoked_at']}")


def logs(
    context: typer.Context,
    function: Annotated[str | None, typer.Option(show_default=False, help="Only this function's.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Annotated[str, typer.Option(metavar="SPAN", help="From so long ago on: 90s, 10m, 2h, 1d.")] = "10m",
    load_id: Annotated[
        int | None, typer.Option("--load", min=1, show_default=False, help="Only lines about this load.")
    ] = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Show the functions' metrics, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they were logged.")] = False,
) -> None:
    """Show the logs of the stage's functions by time."""
    from infra.cli.cloudwatch import Logs, groups, pattern  # boto3 takes its time

    tools = Tools.of(context)
    start = int((time.time() - options.seconds(since)) * 1000)
    named = groups(tools.config.stage, function)
    wanted = {} if load_id is None else _about(tools, load_id)
    found = Logs.of(tools.config.target, named, pattern(wanted))

    def chosen(lines: Iterable[Line]) -> Iterator[Line]:
        for line in in_order(lines):
            if (line.concerns(wanted) if wanted else as_json or not line.of_platform) and (
                metrics or not line.of_metrics
            ):
                yield line

    for batch in found.follow(start) if follow else (found.since(start),):
        for line in chosen(batch):
            _show(tools, line, as_json)


def _about(tools: Tools, load_id: int) -> dict[str, Any]:
    """What marks the lines about a load: its id, and the id of the request that asked for it."""
    about: dict[str, Any] = {"load_id": load_id}
    try:
        correlation = tools.api.get(f"/loads/{load_id}").get("correlation_id")
    except CloudError:
        return about  # logs are read when the API has its troubles, too
    return about | ({"correlation_id": correlation} if correlation else {})


def _show(tools: Tools, line: Line, as_json: bool) -> None:
    if as_json:
        tools.out.raw(line.text.encode("utf-8", "replace") + b"\n")
        return
    for text in line.shown():
        tools.out.line(text, line.style)


def _fact(value: Any) -> str | int | float | None:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return value if isinstance(value, str | int | float) else json.dumps(value)
