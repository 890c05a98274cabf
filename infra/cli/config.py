"""Where the API is and who asks: the environment, else the env file of a stage on this machine.

Values of the two are not mixed: a token of this machine never goes to an API that the environment names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from infra.cli.errors import Misuse
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.local.state import State
from infra.venv import ROOT

_TOKEN = re.compile(r"[\x21-\x7e]*")
_UNSET = "no API is known: set API_URL (and API_TOKEN), or start one on this machine with `make up`"


@dataclass(frozen=True)
class Config:
    """`environ` is the process's environment, `state` the folder of the stage on this machine."""

    environ: Mapping[str, str] = field(repr=False)
    state: State

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Config":
        return cls(environ, State.of(environ.get("STAGE") or "local"))

    @property
    def api_url(self) -> str:
        """Without a slash at its end. Raises Misuse."""
        url = self._named("API_URL").rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.query
        except ValueError:
            usable = False
        if not usable:
            raise Misuse(f"API_URL is no address of an API: {url}")
        return url

    @property
    def token(self) -> str:
        """Empty where there is none. Raises Misuse."""
        token = (self.environ.get("API_TOKEN") or self._deployed.get("API_TOKEN", "")).strip()
        if not _TOKEN.fullmatch(token):
            raise Misuse("API_TOKEN is no token: it holds characters that no token has")
        return token

    @property
    def stage(self) -> str:
        """The stage whose functions and logs are meant. Raises Misuse."""
        named = self.environ.get("STAGE")
        if not (named or self._deployed or self.environ.get("AWS_ENDPOINT_URL")):
            raise Misuse("STAGE is not set: it names the stage whose functions are meant, as in STAGE=prod")
        return named or "local"

    @property
    def target(self) -> Target:
        """The stage's account, for what the API does not serve: that of its env file, else one's own."""
        aws = {name: value for name, value in self._deployed.items() if name.startswith("AWS_") and value}
        if not self._deployed and self.environ.get("AWS_ENDPOINT_URL"):
            aws = {"AWS_ENDPOINT_URL": self.environ["AWS_ENDPOINT_URL"]}  # credentials: boto3 knows where to look
        return Target(self.stage, ROOT, self.state.build(self.stage), {}, aws)

    def _named(self, name: str) -> str:
        value = self.environ.get(name) or self._deployed.get(name)
        if not value:
            raise Misuse(_UNSET)
        return value

    @cached_property
    def _deployed(self) -> Mapping[str, str]:
        """The env file's values; none where the environment names an API, or nothing is deployed here."""
        if self.environ.get("API_URL"):
            return {}
        try:
            return self.state.read_env()
        except CloudError:
            return {}
