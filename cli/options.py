"""Options and arguments that several commands share."""

import re
from pathlib import Path
from typing import Annotated

import typer

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


_LONGEST_ID = 18  # digits


def _load_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID and int(text)):
        raise typer.BadParameter(f"{text!r} is not the id of a load, such as 7")
    return int(text)


LoadId = Annotated[int, typer.Argument(parser=_load_id, show_default=False, metavar="LOAD", help="The load's id.")]
