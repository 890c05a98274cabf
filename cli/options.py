"""Options that several commands have."""

import re
from pathlib import Path
from typing import Annotated

import typer

from cli.datasets import DATASETS, by_route

MAX_PAGE = 100  # records of one answer of the API
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _dataset(name: str | None) -> str | None:
    if name is None:
        return None
    found = by_route(name)
    if found is None:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(DATASETS)}")
    return found.name


def seconds(text: str) -> int:
    """A time span such as 90s, 10m, 2h, 1d."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise typer.BadParameter("a time span is a number and one of s, m, h, d: 90s, 10m, 2h, 1d")
    return int(found[1]) * _SECONDS[found[2]]


def beginning(incomplete: str, names: tuple[str, ...]) -> list[str]:
    """Those of the names that a shell may complete this to."""
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
        help=f"One of {', '.join(DATASETS)}.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the API's JSON, for programs.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with status 1 if a row was rejected.")]
File = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False, metavar="FILE", help="A CSV file."),
]
Files = Annotated[
    list[Path],
    typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False, metavar="FILE", help="CSV files."),
]
LoadId = Annotated[int, typer.Argument(min=1, show_default=False, metavar="LOAD", help="The load's id.")]
