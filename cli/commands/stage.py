"""The commands health, open, token and logs, with which operators look after a stage."""

import json
import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Annotated, Any

import typer

from cli import functions, options
from cli.errors import CommandError
from cli.help import Command
from cli.loglines import Line, in_order
from cli.options import Json, beginning
from cli.tables import Cell, Moment
from cli.tools import Tools

token = typer.Typer(help="Create, list and revoke tokens.", no_args_is_help=True)
ROLES = (
    "reader",
    "writer",
    "operator",
)
_TOKEN_COLUMNS = ("id", "role", "rows", "created", "revoked", "note")


def health(context: typer.Context, as_json: Json = False) -> None:
    """Show whether the service is healthy.

    The exit status is 1 if the service, its database or its storage is unhealthy.
    """
    tools = Tools.of(context)
    response = tools.api.send("GET", "/health", accepted=(HTTPStatus.SERVICE_UNAVAILABLE,))
    found = response.json()
    if as_json:
        tools.out.json(found)
    else:
        tools.out.facts({name: _fact(value) for name, value in found.items()})
    raise typer.Exit(0 if response.ok else 1)


def open_dashboard(
    context: typer.Context,
    browser: Annotated[bool, typer.Option("--browser", help="Also open the dashboard in the browser.")] = False,
) -> None:
    """Print the address of the dashboard."""
    tools = Tools.of(context)
    url = f"{tools.config.api_url}/"
    tools.out.line(url)
    import webbrowser

    if browser and not webbrowser.open(url):
        raise CommandError("no browser could be opened: open the printed address yourself")


def _role(value: str) -> str:
    if value not in ROLES:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(ROLES)}")
    return value


def _roles_beginning(incomplete: str) -> list[str]:
    return beginning(incomplete, ROLES)


def _functions_beginning(incomplete: str) -> list[str]:
    return beginning(incomplete, functions.NAMES)


@token.command("new", cls=Command)
def token_new(
    context: typer.Context,
    role: Annotated[
        str,
        typer.Argument(
            callback=_role,
            metavar="ROLE",
            show_default=False,
            autocompletion=_roles_beginning,
            help=f"{', '.join(ROLES)}. Each role may also do what the roles before it may.",
        ),
    ],
    note: Annotated[str, typer.Option(metavar="TEXT", help="Who uses the token.")] = "",
    rows: Annotated[
        bool, typer.Option("--rows", help="Also give the right to see rows, which every operator has.")
    ] = False,
) -> None:
    """Create a token and print it. The token cannot be shown again."""
    tools = Tools.of(context)
    order = {"action": "create", "role": role, "note": note, "rows": rows}
    tools.out.line(tools.invoke("tokens", order)["token"])


@token.command("list", cls=Command)
def token_list(context: typer.Context, as_json: Json = False) -> None:
    """List all tokens, newest first, without their secrets."""
    tools = Tools.of(context)
    found: list[dict[str, Any]] = tools.invoke("tokens", {"action": "list"})
    if as_json:
        tools.out.json(found)
        return
    tools.out.table(_TOKEN_COLUMNS, [_token_row(entry) for entry in found], ["note"])


def _token_row(entry: dict[str, Any]) -> list[Cell]:
    created, revoked = (Moment(entry[name]) if entry[name] else None for name in ("created_at", "revoked_at"))
    rows = "yes" if entry.get("rows") else "no"  # a stage of the previous release does not send `rows`
    return [entry["id"], entry["role"], rows, created, revoked, entry["note"]]


@token.command("revoke", cls=Command)
def token_revoke(
    context: typer.Context,
    revoked: Annotated[str, typer.Argument(metavar="TOKEN", show_default=False, help="The token's id, or the token.")],
) -> None:
    """Revoke a token. From then on, the API refuses requests with this token."""
    tools = Tools.of(context)
    found = tools.invoke("tokens", {"action": "revoke", "token": revoked})
    tools.out.line(f"{found['id']} was revoked at {found['revoked_at']}")


def logs(
    context: typer.Context,
    function: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, autocompletion=_functions_beginning, help="Only this function."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new lines.")] = False,
    since: Annotated[str, typer.Option(metavar="SPAN", help="Show lines since this long ago: 90s, 2h, 1d.")] = "10m",
    load_id: Annotated[
        int | None,
        typer.Option("--load", min=1, metavar="LOAD", show_default=False, help="Only lines about this load."),
    ] = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Also show the functions' metrics.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they were logged.")] = False,
) -> None:
    """Show the logs of the stage's functions, in the order of time."""
    from cli.cloudwatch import Logs, groups, pattern

    tools = Tools.of(context)
    start = int((time.time() - options.seconds(since)) * 1000)
    named = groups(tools.config.stage, function)
    wanted = {} if load_id is None else _about(tools, load_id)
    found = Logs(functions.client(tools.config.aws, "logs"), named, pattern(wanted))

    def chosen(lines: Iterable[Line]) -> Iterator[Line]:
        for line in in_order(lines):
            if (line.concerns(wanted) if wanted else as_json or not line.of_platform) and (
                metrics or not line.of_metrics
            ):
                yield line

    with tools.explained_if_absent():
        for batch in found.follow(start) if follow else (found.since(start),):
            for line in chosen(batch):
                _show(tools, line, as_json)


def _about(tools: Tools, load_id: int) -> dict[str, Any]:
    """Return the fields that lines about a load have: the load's id, or the correlation id of the load's request."""
    about: dict[str, Any] = {"load_id": load_id}
    try:
        correlation = tools.api.get(f"/loads/{load_id}").get("correlation_id")
    except CommandError:
        return about  # logs must be readable even when the API fails
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
