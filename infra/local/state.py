"""Manages the state folder of a stage, which holds all of its state on this machine.

A lock in this folder lets only one command at a time work on the stage.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.errors import CloudError
from infra.locks import locked
from infra.venv import ROOT

ENV_KEYS = (
    "API_URL",
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "LANDING_BUCKET",
    "ERRORED_BUCKET",
    "BACKUP_BUCKET",
    "DATABASE_URL",
    "API_TOKEN",
)
# The variables of a stage in an AWS account. Users of such a stage have their own credentials and tokens. The env file
# does not name these variables, because an empty value would replace the value of the user.
ENV_KEYS_OF_ACCOUNT = ("API_URL", "AWS_DEFAULT_REGION", "LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET")
_TURN = 600  # seconds that a command waits for another one


class State:
    """The state folder of one stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.env_file = self.folder / "env"
        self.settings_file = self.folder / "settings"
        self._notes = self.folder / "cloud.json"

    @classmethod
    def of(cls, stage: str) -> "State":
        """Return the folder in HIREFLOW_STATE_DIR, else the stage's own folder in this checkout."""
        chosen = os.environ.get("HIREFLOW_STATE_DIR")
        return cls(Path(chosen) if chosen else ROOT / (".local" if stage == "local" else f".local-{stage}"))

    def build(self, stage: str) -> Path:
        """Return the folder in which the deployment of a stage is built."""
        return self.folder / "build" / stage

    def exists(self) -> bool:
        return self._lock.exists()

    @property
    def _lock(self) -> Path:
        return self.folder / "hireflow.lock"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other command works on this folder, and do not let other users read the folder.

        Raises CloudError if the folder cannot be created or used, or if another command takes too long.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.touch()
        except OSError as error:
            raise CloudError(
                f"{self.folder} cannot be used: {error.strerror}: choose another folder with HIREFLOW_STATE_DIR,"
                " or let this user write there"
            ) from error
        with locked(self._lock, _TURN, f"another command has been working on {self.folder} for too long"):
            self._close()
            yield

    def _close(self) -> None:
        """Do not let other users read this folder. Logs in it show the API's address, and a stage may need no token.

        If this process is root, let other users enter the folder (but not list it), because Postgres then runs as
        another user and has its own folder inside.
        """
        builds = self.folder / "build"
        builds.mkdir(exist_ok=True)
        builds.chmod(0o700)
        self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def notes(self) -> dict[str, Any]:
        """Return the values that earlier commands stored with `note`."""
        try:
            return dict(json.loads(self._notes.read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def note(self, **changes: Any) -> None:
        """Store these values for later commands. A value of None deletes the stored value of this name."""
        notes = {k: v for k, v in {**self.notes(), **changes}.items() if v is not None}
        replace_file(self._notes, json.dumps(notes, indent=2))

    def write_env(self, values: Mapping[str, str]) -> None:
        """Write the env file: the addresses and credentials that programs need, as KEY=VALUE lines."""
        replace_file(self.env_file, "".join(f"{key}={values[key]}\n" for key in ENV_KEYS if key in values))

    def read_env(self, needed: Collection[str] = ENV_KEYS) -> dict[str, str]:
        """Read the env file. Raises CloudError if it is missing, or lacks one of the needed variables."""
        try:
            lines = self.env_file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        except OSError:
            raise CloudError("nothing is deployed here yet: make up") from None
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        if missing := [key for key in needed if key not in values]:
            raise CloudError(f"{self.env_file} lacks {' and '.join(missing)}: make up writes this file again")
        return values

    def known_env(self) -> dict[str, str] | None:
        """Read the env file. Returns None if it is missing or incomplete."""
        try:
            return self.read_env()
        except CloudError:
            return None

    def delete(self) -> None:
        """Delete the folder, but only if it contains the lock. A mistyped HIREFLOW_STATE_DIR must delete nothing."""
        if self.exists():
            shutil.rmtree(self.folder)


def replace_file(path: Path, text: str) -> None:
    """Write a private file in one step. The file has its old or its new content, even after a crash or a full disk."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
