"""Creates AWS clients. Their timeouts are short, because a caller waits for the result.

boto3 is imported only when a client is first needed, because importing boto3 would take the largest part of a cold
start, and most API requests need no AWS client.
"""

from collections.abc import Callable
from typing import Any

Client = Callable[[], Any]


def aws_client(service: str, *, read_timeout: float = 6) -> Client:
    """Return a function that creates a client of the service. The client waits for a response for at most
    `read_timeout` seconds."""

    def make() -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=read_timeout, retries={"mode": "standard", "max_attempts": 2})
        create: Any = boto3.client  # the type stubs need the service's name as a literal
        return create(service, config=config)

    return make
