"""The options that declare facts about a file: --encoding, --delimiter, --dates, --max-rejected and --corrects.

A command has one parameter `declared` for all of them.
"""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import typer

from cli import declarations
from cli.options import beginning


def _encoding(name: str | None) -> str | None:
    found = name and declarations.encoding(name)
    if name is not None and not found:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(declarations.ENCODINGS)}")
    return found


def _max_rejected(text: str | None) -> str | None:
    found = text and declarations.max_rejected(text)
    if text is not None and not found:
        raise typer.BadParameter(f"{text!r} is neither a count of rows nor a share such as 5%")
    return found


def _one_of(*names: str) -> Callable[[str | None], str | None]:
    def checked(value: str | None) -> str | None:
        if value is not None and value.lower() not in names:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(names)}")
        return value and value.lower()

    return checked


def _option(
    check: Callable[[str | None], str | None], help_text: str, metavar: str, names: tuple[str, ...] = ()
) -> Any:
    """Return an option with a text as its value. Shells complete the value to one of `names`."""
    return typer.Option(
        callback=check,
        metavar=metavar,
        show_default=False,
        autocompletion=(lambda incomplete: beginning(incomplete, names)) if names else None,
        help=help_text,
    )


_ENCODING_HELP = "The encoding of the files, if it is neither UTF-8 nor UTF-16: for example windows-1252."
_DELIMITER_HELP = (
    f"The delimiter of the fields: {', '.join(declarations.DELIMITERS)}. Most files do not need this option."
)
_DATES_HELP = "The order of day and month in dates: dmy for 27/07/2021, mdy for 07/27/2021."
_MAX_REJECTED_HELP = "Let the load fail if more rows than this are rejected: a count of rows, or a share such as 5%."
_CORRECTS_HELP = "The id of the load whose rejects this file corrects."
_CHECK_DELIMITER, _CHECK_DATES = _one_of(*declarations.DELIMITERS), _one_of(*declarations.DATES)
# The options by the names that the API uses.
OPTIONS = {
    "encoding": Annotated[str | None, _option(_encoding, _ENCODING_HELP, "NAME", declarations.ENCODINGS)],
    "delimiter": Annotated[str | None, _option(_CHECK_DELIMITER, _DELIMITER_HELP, "NAME", declarations.DELIMITERS)],
    "dates": Annotated[str | None, _option(_CHECK_DATES, _DATES_HELP, "ORDER", declarations.DATES)],
    "max-rejected": Annotated[str | None, _option(_max_rejected, _MAX_REJECTED_HELP, "N")],
    "corrects": Annotated[int | None, typer.Option(min=1, metavar="LOAD", show_default=False, help=_CORRECTS_HELP)],
}


def takes_declarations(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, in the place of its parameter `declared`. typer builds the command from the
    signature. The command gets what the user has declared, by the names that the API uses."""

    @wraps(command)
    def run(**given: Any) -> None:
        values = {name: given.pop(_parameter(name)) for name in OPTIONS}
        declared = {name: str(value) for name, value in values.items() if value is not None}
        command(**given, declared=declared)

    options = [
        Parameter(_parameter(name), Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in OPTIONS.items()
    ]
    taken: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        taken += options if name == "declared" else [parameter.replace(kind=Parameter.KEYWORD_ONLY)]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in taken}
    run.__signature__ = signature(command).replace(parameters=taken)  # type: ignore[attr-defined]
    return run


def _parameter(name: str) -> str:
    return name.replace("-", "_")
