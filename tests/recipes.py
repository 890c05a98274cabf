"""Reads the recipes of CONTRIBUTING.md and applies them to a checkout.

A recipe is a section under "## Recipes". Its fenced blocks are its steps. The words after the language of a block say
what to do with the block. A rendered page does not show these words. A block whose words contain a backtick is fenced
by tildes, because Markdown allows no backtick there:

- `file=PATH new`: the block is a new file.
- `file=PATH after='TEXT'` or `before='TEXT'`: insert the block after or before the only line that contains TEXT.
- `file=PATH replace='TEXT'`: the block takes the place of the only line that contains TEXT.
- `run`: a shell script, which runs in the folder of the checkout.

A checkout may already have further migrations, datasets, reports or roles. `next_revision` fits the migration of a
recipe to such a checkout, and `existing_result` finds out whether somebody has followed the recipe there.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_SECTION = re.compile(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^( *)(```|~~~)(\w+)([^\n]*)\n(.*?)^\1\2$", re.MULTILINE | re.DOTALL)
_PLACES = ("after", "before", "replace")
_MIGRATIONS = "chalicelib/migrations/versions/"


class BrokenRecipe(Exception):
    """Raised if a step of a recipe cannot be followed."""


@dataclass(frozen=True)
class Step:
    """A step of a recipe. Without a `file`, `text` is a script. With a `file`, `text` goes into that file. `place` is
    "new" (a new file), or "after", "before" or "replace", which refer to the line with `anchor`."""

    line: int
    text: str
    file: str = ""
    place: str = ""
    anchor: str = ""

    @property
    def is_script(self) -> bool:
        return not self.file


def recipes(document: str) -> dict[str, list[Step]]:
    """Return the steps of every recipe, by the title of the recipe. Raises BrokenRecipe if a block does not say where
    its text goes."""
    before, heading, after = document.partition("\n## Recipes\n")
    offset = len(before) + len(heading)
    return {match[1]: list(_steps(document, offset + match.start(2), match[2])) for match in _SECTION.finditer(after)}


def follow(steps: list[Step], checkout: Path) -> None:
    """Apply the steps to a checkout. Raises BrokenRecipe for the first step that cannot be followed."""
    for step in steps:
        (_run if step.is_script else _write)(step, checkout)


def next_revision(steps: list[Step], checkout: Path) -> list[Step]:
    """Return the steps with the next free revision of a checkout in their migration."""
    newest = max(path.name[:4] for path in (checkout / _MIGRATIONS).glob("[0-9]*.py"))
    return [_renumbered(step, newest) if step.file.startswith(_MIGRATIONS) else step for step in steps]


def existing_result(steps: list[Step], checkout: Path) -> str | None:
    """Return a file of a checkout in which the result of a step exists already, or None."""
    return next((step.file for step in steps if step.file and _is_followed(step, checkout)), None)


def _renumbered(step: Step, newest: str) -> Step:
    free = f"{int(newest) + 1:04}"
    text = re.sub(r'^revision = ".*"$', f'revision = "{free}"', step.text, flags=re.MULTILINE)
    text = re.sub(r'^down_revision = ".*"$', f'down_revision = "{newest}"', text, flags=re.MULTILINE)
    return replace(step, text=text, file=re.sub(r"/\d{4}_", f"/{free}_", step.file))


def _is_followed(step: Step, checkout: Path) -> bool:
    if step.place == "new":
        return any(checkout.glob(re.sub(r"/\d{4}_", "/[0-9]*_", step.file)))
    return step.text in (checkout / step.file).read_text()


def _steps(document: str, start: int, section: str) -> Iterator[Step]:
    for match in _BLOCK.finditer(section):
        line = document.count("\n", 0, start + match.start()) + 1
        words = shlex.split(match[4])
        given = dict(word.split("=", 1) for word in words if "=" in word)
        flags = [word for word in words if "=" not in word]
        # A block in a list is indented. Remove this indentation.
        text = "".join(row.removeprefix(match[1]) for row in match[5].splitlines(keepends=True))
        places = [place for place in _PLACES if place in given]
        if flags == ["run"] and not given:
            yield Step(line, text)
        elif flags == ["new"] and given.keys() == {"file"}:
            yield Step(line, text, given["file"], "new")
        elif not flags and len(places) == 1 and given.keys() == {"file", *places}:
            yield Step(line, text, given["file"], places[0], given[places[0]])
        else:
            raise BrokenRecipe(f"line {line}: the block does not say where it goes: {match[4].strip() or 'nothing'}")


def _write(step: Step, checkout: Path) -> None:
    path = checkout / step.file
    if step.place == "new":
        if path.exists():
            raise BrokenRecipe(f"line {step.line}: {step.file} exists already")
        path.write_text(step.text)
        return
    lines = path.read_text().splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if step.anchor in line]
    if len(found) != 1:
        raise BrokenRecipe(f"line {step.line}: {step.file} has {len(found)} lines with {step.anchor!r}, not 1")
    first = found[0] + (step.place == "after")
    lines[first : found[0] + (step.place != "before")] = [step.text]
    path.write_text("".join(lines))


def _run(step: Step, checkout: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}  # with another Python, make would install the packages again
    done = subprocess.run(
        ["sh", "-eu", "-c", step.text], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stdout[-4000:] + done.stderr[-2000:]
        raise BrokenRecipe(f"line {step.line}: exit status {done.returncode}\n{said}")
