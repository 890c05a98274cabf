"""Where the API is and who asks: the environment, else the env file of a stage on this machine.

Values of the two are not mixed: a token of this machine never goes to an API that the environment names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from cli.errors import CommandError, Misuse

CHECKOUT = "HIREFLOW_HOME"  # set by the script `hireflow` of a checkout to where that is
_TOKEN = re.compile(r"[\x21-\x7e]*")
_UNSET = "no API is known: set API_URL (and API_TOKEN)"
_HERE = ("local", "localstack")  # stages that are never in an account of AWS
_AWS = "AWS_ENDPOINT_URL"


@dataclass(frozen=True)
class Config:
    """`environ` is the process's environment, `folder` that of the stage on this machine, None outside a checkout."""

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
        """Without a slash at its end. Raises Misuse."""
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
            raise Misuse(f"API_URL is no address of an API: {url.rpartition('@')[2]}")
        return url

    @property
    def token(self) -> str:
        """Empty where there is none. Raises Misuse."""
        token = (self.environ.get("API_TOKEN") or self._deployed.get("API_TOKEN", "")).strip()
        if not _TOKEN.fullmatch(token):
            raise Misuse("API_TOKEN is no token: it holds characters that no token has")
        return token

    @property
    def absent(self) -> str:
        """What to say if nothing listens at the API's address. Empty unless that is the stage on this machine."""
        is_here = self._written.get("API_URL", "").rstrip("/") == self.api_url
        return self._to_start("is not running") if is_here else ""

    @property
    def outdated(self) -> str:
        """What to say if a token is refused that this shell has, and the env file of the same API has another one.

        That is so in a shell that read the file before tokens were turned on. Empty otherwise.
        """
        named, ours = self.environ.get("API_URL", "").strip().rstrip("/"), self._written.get("API_TOKEN", "")
        if not ours or named != self._written.get("API_URL", "").rstrip("/") or self.token == ours:
            return ""
        file = f"{self.folder}/env"
        return f"{file} has another API_TOKEN than this shell: read it again with `set -a; . {file}; set +a`"

    @property
    def stage(self) -> str:
        """The stage whose functions and logs are meant. Raises Misuse."""
        named = self.environ.get("STAGE")
        if not (named or self._deployed or self.environ.get(_AWS)):
            here = ", or start one on this machine with `make up`" if self.folder else ""
            raise Misuse(f"STAGE is not set: it names the stage whose functions are meant, as in STAGE=prod{here}")
        return named or "local"

    @property
    def aws(self) -> Mapping[str, str]:
        """The AWS_* variables that lead to the stage's account: those of its env file, else an endpoint or nothing,
        where boto3 looks for credentials itself. Raises CommandError if a stage of this machine is not deployed."""
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
        """The env file's values; none where the environment names an API, or nothing is deployed here."""
        return {} if self.environ.get("API_URL") else self._written

    @cached_property
    def _written(self) -> Mapping[str, str]:
        try:
            lines = (
                (self.folder / "env").read_text(encoding="utf-8-sig", errors="replace").splitlines()
                if self.folder
                else []
            )
        except OSError:
            return {}
        return dict(line.split("=", 1) for line in lines if "=" in line)
