"""All commands, and how each of them ends."""

import os
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from infra.cli.commands import backups, history, reports, sending, stage
from infra.cli.errors import exit_status
from infra.cli.tools import Tools
from infra.errors import CloudError
from infra.text import printable


class Commands(TyperGroup):
    """Commands whose failures are one line on standard error and an exit status: never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CloudError as error:
            _say(str(error))
            raise typer.Exit(exit_status(error)) from error
        except (typer.TyperException, typer.Exit, typer.Abort, EOFError, BrokenPipeError):
            raise
        except Exception as error:  # a defect of ours, told so that it can be reported
            _say(f"unforeseen {type(error).__name__}: {error} ({_place(error)})")
            raise typer.Exit(1) from error


app = typer.Typer(
    name="hireflow",
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def prepare(context: typer.Context) -> None:
    """Hireflow from the command line: load CSV files, see what became of them, report, back up and restore.

    API_URL and API_TOKEN say where the API is and who asks; without them it is the stage that `make up` started on
    this machine (STAGE=localstack for another one). Status 0 is success, 1 a failure, 2 a wrong use.
    """
    context.obj = Tools(os.environ)
    context.call_on_close(context.obj.close)


app.command()(sending.upload)
app.command()(sending.check)
app.command()(history.loads)
app.command()(history.load)
app.command()(history.rejects)
app.add_typer(reports.app, name="report")
app.command()(backups.backup)
app.command(name="backups")(backups.backups)
app.command()(backups.restore)
app.command()(stage.health)
app.command(name="open")(stage.open_dashboard)
app.add_typer(stage.token, name="token")
app.command()(stage.logs)


def _say(text: str) -> None:
    sys.stderr.write(f"error: {printable(text)}\n")


def _place(error: BaseException) -> str:
    found = error.__traceback__
    while found is not None and found.tb_next is not None:
        found = found.tb_next
    return f"{Path(found.tb_frame.f_code.co_filename).name}:{found.tb_lineno}" if found else "?"
