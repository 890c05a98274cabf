"""AWS clients with short timeouts, for work on which a caller waits.

boto3 is imported when a client is first needed. Most API requests need no AWS client, and importing boto3 takes the
largest part of a cold start.
"""

from collections.abc import Callable
from typing import Any

Client = Callable[[], Any]


def aws_client(service: str) -> Client:
    def make() -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=6, retries={"mode": "standard", "max_attempts": 2})
        create: Any = boto3.client  # the type stubs need the service's name as a literal
        return create(service, config=config)

    return make
