"""Reads and writes the file that keeps a stage's settings. People may read and change its NAME=VALUE lines."""

import re
from collections.abc import Mapping
from pathlib import Path

from infra.errors import CloudError
from infra.local.state import replace_file

HEAD = """\
# The settings of this stage. `make up` writes settings from its environment here, and reads all others from here.
# You may change, add and delete lines. The next `make up` checks the lines. A setting without a line has its default.
# `make status` shows all settings, and docs/settings.md explains them.
"""
REMEDY = "correct the file, or go back to all defaults with RESET=ALL"
_LINE = re.compile(r"\s*([A-Za-z_]\w*)\s*=(.*)", re.ASCII)


def parse(text: str, where: str) -> dict[str, str]:
    """Parse the text of a settings file. Raises CloudError, which lists the wrong lines but shows no values."""
    found: dict[str, str] = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            wrong.append(f"line {number} is not NAME=VALUE")
        elif match[1] in found:
            wrong.append(f"line {number} names {match[1]} again")
        else:
            found[match[1]] = match[2].strip()
    if wrong:
        raise CloudError(f"nothing was changed: {where}: {', '.join(wrong)}: {REMEDY}")
    return found


def changed(text: str, values: Mapping[str, str]) -> str:
    """Return the file's text, changed so that it holds exactly these settings.

    Comments and the order of lines stay. Lines that are neither comments nor settings are removed.
    """
    lines, left = [], dict(values)
    for line in (text or HEAD).splitlines():
        match = _LINE.fullmatch(line)
        if not line.strip() or line.lstrip().startswith("#"):
            lines.append(line)
        elif match and match[1] in left:
            value = left.pop(match[1])
            lines.append(line if match[2].strip() == value else f"{match[1]}={value}")
    lines += [f"{name}={value}" for name, value in left.items()]
    return "".join(f"{line}\n" for line in lines)


class File:
    """The file of one stage."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def read(self) -> dict[str, str]:
        """Return the settings in the file. Raises CloudError if it cannot be read or parsed."""
        try:
            return parse(self._text(), str(self.path))
        except UnicodeDecodeError:
            raise CloudError(f"nothing was changed: {self.path} is not UTF-8 text: {REMEDY}") from None

    def keep(self, values: Mapping[str, str]) -> None:
        """Write exactly these settings into the file. The comments in the file stay."""
        old = self._text("replace")
        new = changed(old, values)
        if new != old or not self.exists():
            replace_file(self.path, new)

    def _text(self, errors: str = "strict") -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig", errors=errors)  # some editors add a byte order mark
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise CloudError(f"{self.path} cannot be read: {error.strerror}") from error
