"""Reads ministack's record of a function."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from infra.local.runtime.event_queue import Policy
from infra.local.runtime.template import Release
from infra.local.unpacked import folder_of

Json = dict[str, Any]
Credentials = Callable[[Json], dict[str, str]]
# The most workers of a function without reserved concurrency. On AWS, such functions share the concurrency that no
# function has reserved.
UNRESERVED = 8 * (os.cpu_count() or 1)


class Function:
    """One release of a function: the code and the settings that ministack's record has at this time."""

    def __init__(self, record: Json) -> None:
        self._record: Json = record
        self.config: Json = record.get("config") or record
        self.arn = str(self.config["FunctionArn"])
        self.name = str(self.config["FunctionName"])

    @property
    def is_python(self) -> bool:
        """Return whether this package can run the function. The code must be Python in an archive, without layers."""
        runtime = str(self.config.get("Runtime") or "")
        return runtime.startswith("python") and bool(self._record.get("code_zip")) and not self.config.get("Layers")

    @property
    def key(self) -> tuple[str, str, str]:
        """Return (account, region, name). All versions of a function have the same key, and share its slots."""
        parts = self.arn.split(":")
        return parts[4], parts[3], self.name

    @property
    def release_key(self) -> str:
        """Return a text that changes with the code and the settings of the function."""
        return f"{self.arn} {self.config.get('Version')} {self.config.get('RevisionId')}"

    @property
    def limit(self) -> int:
        """Return how many events the function handles at the same time. 0 switches the function off."""
        reserved = self._record.get("concurrency")
        return UNRESERVED if reserved is None else int(reserved)

    @property
    def policy(self) -> Policy:
        return Policy.of(self._record)

    def release(self, credentials: Credentials, inherited: Mapping[str, str]) -> Release:
        """Describe the function for its processes. `inherited` has the environment variables of the server."""
        config = self.config
        version = str(config.get("Version") or "$LATEST")
        region = self.key[1]
        own: Json = (config.get("Environment") or {}).get("Variables") or {}
        reserved = {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            **credentials(config),
        }
        endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{inherited.get('GATEWAY_PORT', '')}"}
        about = {
            "name": self.name,
            "arn": self.arn,
            "version": version,
            "memory": config.get("MemorySize", 128),
            "timeout": config.get("Timeout") or 3,
        }
        archive: bytes = self._record["code_zip"]
        return Release(
            self.release_key,
            str(config["Handler"]),
            about,
            {**inherited, **endpoint, **own, **reserved},
            partial(folder_of, archive),
        )
