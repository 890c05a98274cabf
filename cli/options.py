"""Options and arguments that several commands share."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cli import declarations
from cli.datasets import DATASETS, by_route

MAX_PAGE = 100  # the most entries in one response of the API
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _dataset(name: str | None) -> str | None:
    if name is None:
        return None
    found = by_route(name)
    if found is None:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(DATASETS)}")
    return found.name


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


def seconds(text: str) -> int:
    """Parse a time span such as 90s, 10m, 2h, 1d. Raises BadParameter."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise typer.BadParameter("a time span is a number with a unit, as in 90s, 10m, 2h, 1d")
    return int(found[1]) * _SECONDS[found[2]]


def beginning(incomplete: str, names: tuple[str, ...]) -> list[str]:
    """Return the names to which a shell may complete the text."""
    return [name for name in names if name.startswith(incomplete)]


def datasets_beginning(incomplete: str) -> list[str]:
    return beginning(incomplete, tuple(DATASETS))


Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        callback=_dataset,
        metavar="NAME",
        show_default=False,
        autocompletion=datasets_beginning,
        help=f"The dataset: {', '.join(DATASETS)}.",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        callback=_encoding,
        metavar="NAME",
        show_default=False,
        autocompletion=lambda incomplete: beginning(incomplete, declarations.ENCODINGS),
        help="The encoding of the files, if it is neither UTF-8 nor UTF-16: for example windows-1252.",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        callback=_one_of(*declarations.DELIMITERS),
        metavar="NAME",
        show_default=False,
        autocompletion=lambda incomplete: beginning(incomplete, declarations.DELIMITERS),
        help=f"The delimiter of the fields: {', '.join(declarations.DELIMITERS)}. Most files do not need this option.",
    ),
]
Dates = Annotated[
    str | None,
    typer.Option(
        callback=_one_of(*declarations.DATES),
        metavar="ORDER",
        show_default=False,
        autocompletion=lambda incomplete: beginning(incomplete, declarations.DATES),
        help="The order of day and month in dates: dmy for 27/07/2021, mdy for 07/27/2021.",
    ),
]
MaxRejected = Annotated[
    str | None,
    typer.Option(
        callback=_max_rejected,
        metavar="N",
        show_default=False,
        help="Let the load fail if more rows than this are rejected: a count of rows, or a share such as 5%.",
    ),
]
Corrects = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="LOAD", show_default=False, help="The id of the load whose rejects this file corrects."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON as the API returns it.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with status 1 if a record was rejected.")]
File = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        readable=True,
        show_default=False,
        metavar="FILE",
        help="An Excel, CSV or Avro file.",
    ),
]
Files = Annotated[
    list[Path],
    typer.Argument(
        exists=True, dir_okay=False, readable=True, show_default=False, metavar="FILE", help="Excel, CSV or Avro files."
    ),
]
LoadId = Annotated[int, typer.Argument(min=1, show_default=False, metavar="LOAD", help="The load's id.")]
