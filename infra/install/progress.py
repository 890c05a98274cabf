"""Reads the progress of an installation from the installer's output."""

import re

_RESOLVED = re.compile(r"Resolved (\d+) packages?")
_DOWNLOADING = re.compile(r"Downloading (\S+) \(([\d.]+)\s?(\w+)\)")
_DOWNLOADED = re.compile(r"Downloaded (\S+)")
_BUILDING = re.compile(r"Building (\S+)")
_PREPARED = re.compile(r"Prepared (\d+) packages? in (\S+)")
_CHECKED = re.compile(r"(?:Checked|Audited) (\d+) packages?")
_INSTALLED = re.compile(r"Installed (\d+) packages? in (\S+)")


class Installation:
    """The progress of one environment, read from the output of uv. `what` names the environment."""

    def __init__(self, what: str) -> None:
        self.what, self._total = what, "the"
        self._sizes: dict[str, str] = {}
        self._here: set[str] = set()
        self._now = "asking the package index for files"

    def hear(self, line: str) -> str | None:
        """Read one line. If it is a milestone, return the message about it."""
        if found := _RESOLVED.search(line):
            self._total = found[1]
            self._now = f"downloading {found[1]} packages"
            return f"{self.what}: {found[1]} packages are needed"
        if found := _DOWNLOADING.search(line):
            self._sizes[found[1]] = f"{found[1]}, {found[2]} {found[3].replace('i', '')}"
        elif found := _DOWNLOADED.search(line):
            self._here.add(found[1])
        elif found := _BUILDING.search(line):
            self._now = f"building {found[1]}"
        elif found := _PREPARED.search(line):
            self._sizes.clear()
            self._now = f"copying {self._total} packages"
            return f"{self.what}: {found[1]} of {self._total} packages downloaded in {found[2]}"
        elif found := _CHECKED.search(line):
            return f"{self.what}: all {found[1]} packages are already installed"
        elif found := _INSTALLED.search(line):
            return f"{self.what}: {found[1]} packages installed in {found[2]}"
        return None

    def __str__(self) -> str:
        """Return what the installer is doing now."""
        waiting = [size for name, size in self._sizes.items() if name not in self._here]
        if not waiting:
            return f"{self.what}: {self._now}"
        return f"{self.what}: downloading {self._total} packages, {len(self._sizes) - len(waiting)} of the " + (
            f"{len(self._sizes)} large ones are done; now {waiting[0]}"
        )
