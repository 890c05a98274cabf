"""All commands, and how each of them ends."""

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
    """Commands whose failures are one line on standard error and an exit status: never a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        if not extra.pop("standalone_mode", True):
            return super().main(*args, **{**extra, "standalone_mode": False})
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except typer.TyperException as error:  # a wrong use
            _say_misuse(error)
            sys.exit(error.exit_code)
        except typer.Abort:
            _say("nothing was answered")
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
            _say(_told(error))
            raise typer.Exit(1) from error


app = typer.Typer(
    name=NAME,
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"{NAME} {version()}\n")
        raise typer.Exit


@app.callback()
def prepare(
    context: typer.Context,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Load CSV files, see what became of them, report, back up and restore.

    API_URL and API_TOKEN say where the API is and who asks. In a checkout they default to the stage that `make up`
    started there (STAGE=localstack for another one).

    Exit status: 0 success; 1 failure: a load failed, a file did not arrive, the service is not
    well, or with --strict a row was rejected; 2 wrong use, or a setting
    that is missing; 130 interrupted by Ctrl-C.
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
    """A wrong use in one line, and where to read more; the help itself if a command was named without its own."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    if "\n" in said or not said:
        error.show()
    else:
        _say(f"{said.rstrip('.')}: see {context.command_path if context else NAME} --help")


def _told(error: Exception) -> str:
    """A full disk, where the output goes or temporary files are; anything else is a defect of ours, for a report."""
    if isinstance(error, OSError) and is_full(error):
        return unwritten(error)
    return f"unforeseen {type(error).__name__}: {error} ({_place(error)})"


def _place(error: BaseException) -> str:
    found = error.__traceback__
    while found is not None and found.tb_next is not None:
        found = found.tb_next
    return f"{Path(found.tb_frame.f_code.co_filename).name}:{found.tb_lineno}" if found else "?"
