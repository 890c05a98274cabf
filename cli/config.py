"""Finds the address of the API and the token: in the environment, else in the env file of a stage on this machine.

Values of the two sources are not mixed, so a token of this machine never goes to an API that the environment names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from cli.errors import CommandError, Misuse

CHECKOUT = "HIREFLOW_HOME"  # the folder of the checkout; its script `hireflow` sets this variable
_TOKEN = re.compile(r"[\x21-\x7e]*")
_UNSET = "no API is known: set API_URL (and API_TOKEN)"
_HERE = ("local", "localstack")  # stages that are never in an AWS account
_AWS = "AWS_ENDPOINT_URL"


@dataclass(frozen=True)
class Config:
    """`environ` is the process's environment. `folder` holds the state of the stage on this machine.

    `folder` is None outside a checkout, unless HIREFLOW_STATE_DIR names a folder.
    """

    environ: Mapping[str, str] = field(repr=False)
    folder: Path | None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Config":
        named, home = environ.get("HIREFLOW_STATE_DIR"), environ.get(CHECKOUT)
        stage = environ.get("STAGE") or "local"
        if named:
            return cls(environ, Path(named))
        return cls(environ, Path(home, ".local" if stage == "local" else f".local-{stage}") if home else None)

    @property
    def api_url(self) -> str:
        """Return the API's address, without a slash at its end. Raises Misuse."""
        url = (self.environ.get("API_URL") or self._deployed.get("API_URL", "")).strip().rstrip("/")
        if not url:
            raise Misuse(f"{_UNSET}, or start one on this machine with `make up`" if self.folder else _UNSET)
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
            usable = usable and not (parts.query or parts.fragment or parts.username)
        except ValueError:
            usable = False
        if not usable:
            raise Misuse(f"API_URL is not the address of an API: {url.rpartition('@')[2]}")
        return url

    @property
    def token(self) -> str:
        """Return the token, empty if none is set. Raises Misuse."""
        token = (self.environ.get("API_TOKEN") or self._deployed.get("API_TOKEN", "")).strip()
        if not _TOKEN.fullmatch(token):
            raise Misuse("API_TOKEN is not a token: it contains characters that no token has")
        return token

    @property
    def absent(self) -> str:
        """Return the message for an API at whose address nothing listens.

        The message is empty unless this is the address of the stage on this machine.
        """
        is_here = self._env_file.get("API_URL", "").rstrip("/") == self.api_url
        return self._to_start("is not running") if is_here else ""

    @property
    def outdated(self) -> str:
        """Return the message for an API that refuses the shell's token, if the API's env file has another token.

        This happens in a shell that read the env file before the token in the file changed. Otherwise the message is
        empty.
        """
        named, ours = self.environ.get("API_URL", "").strip().rstrip("/"), self._env_file.get("API_TOKEN", "")
        if not ours or named != self._env_file.get("API_URL", "").rstrip("/") or self.token == ours:
            return ""
        file = f"{self.folder}/env"
        return f"API_TOKEN in {file} differs from this shell's: read the file again with `set -a; . {file}; set +a`"

    @property
    def stage(self) -> str:
        """Return the name of the stage whose functions and logs a command uses. Raises Misuse."""
        named = self.environ.get("STAGE")
        if not (named or self._deployed or self.environ.get(_AWS)):
            here = ", or start one on this machine with `make up`" if self.folder else ""
            raise Misuse(f"STAGE is not set: set it to the name of the stage, as in STAGE=prod{here}")
        return named or "local"

    @property
    def aws(self) -> Mapping[str, str]:
        """Return the AWS_* variables of the stage's account: those of its env file, else AWS_ENDPOINT_URL.

        If both are missing, the result is empty, and boto3 looks for credentials itself. Raises CommandError if
        a stage of this machine is not deployed.
        """
        if self._deployed:
            return {name: value for name, value in self._deployed.items() if name.startswith("AWS_") and value}
        if self.environ.get(_AWS):
            return {_AWS: self.environ[_AWS]}
        if self.stage in _HERE:
            raise CommandError(self._to_start("is not deployed here"))
        return {}

    def _to_start(self, what: str) -> str:
        stage = self.environ.get("STAGE") or "local"
        return f"stage {stage} {what}: make up{'' if stage == 'local' else f' STAGE={stage}'}"

    @property
    def _deployed(self) -> Mapping[str, str]:
        """Return the values of the env file. The result is empty if the environment names an API or nothing is deployed
        here."""
        return {} if self.environ.get("API_URL") else self._env_file

    @cached_property
    def _env_file(self) -> Mapping[str, str]:
        try:
            lines = (
                (self.folder / "env").read_text(encoding="utf-8-sig", errors="replace").splitlines()
                if self.folder
                else []
            )
        except OSError:
            return {}
        return dict(line.split("=", 1) for line in lines if "=" in line)
