"""Formats help texts in the terms of a command line: FILE..., not the Python types that typer shows."""

import re
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

_TYPE = re.compile(r" <[^>]*>$")
_RANGE = re.compile(r"(?:; )?(?:[0-9]+<=)?x[<>]=[0-9]+")


class Helping:
    """A mixin that formats the help of a command or a group.

    The other base class, one of typer's, supplies `get_params` and `collect_usage_pieces`.
    """

    get_params: Any

    def collect_usage_pieces(self, ctx: "Context") -> list[str]:
        """Show a mandatory argument as NAME, a repeatable one as NAME..., and an optional one as [NAME]."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def format_options(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_option = parameter.param_type_name == "option"
                (options if is_option else arguments).append((_TYPE.sub("", record[0]), _plain(record[1])))
        for title, records in (("Arguments", arguments), ("Options", options)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if hasattr(self, "format_commands"):
            self.format_commands(ctx, formatter)


class Command(Helping, TyperCommand):
    """A command whose help `Helping` formats."""


def _plain(text: str) -> str:
    """Remove number ranges, and `required`, which the usage line already shows."""
    return _RANGE.sub("", text.replace("; required", "").replace("required", "")).removesuffix("[]").rstrip()
