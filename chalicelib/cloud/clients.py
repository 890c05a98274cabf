"""AWS clients with short timeouts, for work that others wait for.

boto3 is imported when a client is first needed: most API requests never touch AWS, and its import is the largest part
of a cold start.
"""

from collections.abc import Callable
from typing import Any

Client = Callable[[], Any]


def aws_client(service: str) -> Client:
    def make() -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=6, retries={"mode": "standard", "max_attempts": 2})
        create: Any = boto3.client  # its stubs want the service's name at type-checking time
        return create(service, config=config)

    return make
