"""Registers all commands, and turns errors into messages and exit statuses."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.commands import backups, history, reports, sending, stage
from cli.disk import is_full, with_remedy
from cli.errors import CommandError, exit_status, unwritten
from cli.help import Command, Helping
from cli.text import printable
from cli.tools import Tools
from cli.version import NAME, version


class Commands(Helping, TyperGroup):
    """A group of commands. A failure prints one line on standard error, never a traceback, and sets the exit status."""

    def main(self, *args: Any, **extra: Any) -> Any:
        if not extra.pop("standalone_mode", True):
            return super().main(*args, **{**extra, "standalone_mode": False})
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except typer.TyperException as error:  # wrong usage
            _say_misuse(error)
            sys.exit(error.exit_code)
        except typer.Abort:
            _say("aborted: the question was not answered")
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            _say(with_remedy(str(error)))
            raise typer.Exit(exit_status(error)) from error
        except (typer.TyperException, typer.Exit, typer.Abort, EOFError, BrokenPipeError):
            raise
        except Exception as error:
            _say(_described(error))
            raise typer.Exit(1) from error


app = typer.Typer(
    name=NAME,
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"{NAME} {version()}\n")
        raise typer.Exit


@app.callback()
def prepare(
    context: typer.Context,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Load files, see their loads, print reports, back up and restore.

    Set API_URL to the address of the API and API_TOKEN to your token. In a checkout, both default to the stage that
    `make up` started there. STAGE=localstack selects the localstack stage.

    \b
    Exit statuses:
      0    success
      1    failure: a load failed, a file did not arrive, the service is
           unhealthy, or a record was rejected with --strict
      2    wrong usage, or a missing setting
      130  interrupted by Ctrl-C
    """
    context.obj = Tools(os.environ)
    context.call_on_close(context.obj.close)


for _name, _run in (
    ("upload", sending.upload),
    ("check", sending.check),
    ("loads", history.loads),
    ("load", history.load),
    ("rejects", history.rejects),
    ("backup", backups.backup),
    ("backups", backups.backups),
    ("restore", backups.restore),
    ("health", stage.health),
    ("open", stage.open_dashboard),
    ("logs", stage.logs),
):
    app.command(name=_name, cls=Command)(_run)
app.add_typer(reports.app, name="report", cls=Commands)
app.add_typer(stage.token, name="token", cls=Commands)


def _say(text: str) -> None:
    sys.stderr.write(f"error: {printable(text)}\n")


def _say_misuse(error: Any) -> None:
    """Print one line that describes the wrong usage and names the help. If a group has no subcommand, print the
    help."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if "\n" in message or not message:
        error.show()
    else:
        _say(f"{message.rstrip('.')}: see {context.command_path if context else NAME} --help")


def _described(error: Exception) -> str:
    """Describe an unforeseen error: a full disk, or a defect of this program with the place where it happened."""
    if isinstance(error, OSError) and is_full(error):  # the disk of the output or of temporary files
        return unwritten(error)
    return f"unforeseen {type(error).__name__}: {error} ({_place(error)})"


def _place(error: BaseException) -> str:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}" if traceback else "?"
