"""Invokes deployed Lambda functions. A function invokes another one, or itself again, with an event."""

import json
from functools import cached_property
from typing import Any

from chalicelib.cloud.clients import Client, aws_client
from chalicelib.core.errors import NotFound, Unavailable

_PATIENCE = 30.0  # seconds that `invoke` waits for a result; this includes a cold start


def sibling(deployed: str, function: str) -> str:
    """Return the deployed name of another function of the same stage. A deployed name ends in a hyphen and the name
    that the function has in app.py."""
    stage, hyphen, _ = deployed.rpartition("-")
    return f"{stage}{hyphen}{function}"


class Functions:
    """Invokes deployed functions. A function is given by its ARN or its name."""

    def __init__(self, client: Client | None = None) -> None:
        self._make = client or aws_client("lambda")
        self._make_patient = client or aws_client("lambda", read_timeout=_PATIENCE)

    def invoke_later(self, arn: str, event: Any) -> None:
        """Invoke a function asynchronously with an event. Lambda retries the event if the function fails.

        Raises NotFound if Lambda rejects the event, and Unavailable if the invocation may succeed later.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._lambda.invoke(FunctionName=arn, InvocationType="Event", Payload=json.dumps(event).encode())
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if 400 <= status < 500 and status != 429:
                raise NotFound(f"Lambda rejected the event for {arn}") from error
            raise Unavailable(f"{arn} cannot be invoked now") from error
        except (BotoCoreError, OSError) as error:
            raise Unavailable(f"{arn} cannot be invoked now") from error

    def invoke(self, arn: str, event: Any) -> Any:
        """Invoke a function with an event, wait until it ends, and return its result.

        botocore may repeat the request, so the function must be idempotent. Raises Unavailable if the request or the
        function fails.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            response = self._patient_lambda.invoke(FunctionName=arn, Payload=json.dumps(event).encode())
            result = json.loads(response["Payload"].read() or b"null")
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            raise Unavailable(f"{arn} cannot be invoked now") from error
        if "FunctionError" in response:
            raise Unavailable(f"{arn} failed, and its log says why")
        return result

    @cached_property
    def _lambda(self) -> Any:
        return self._make()

    @cached_property
    def _patient_lambda(self) -> Any:
        return self._make_patient()
