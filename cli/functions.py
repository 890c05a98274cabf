"""Invokes the functions of a stage through AWS Lambda, for commands that the API does not offer."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cli.errors import CommandError, NoAnswer

APP = "hireflow"
_API = "api"  # Chalice adds no suffix to the name of this function
NAMES = (_API, "ingest", "backup", "verify", "sweep", "relay", "outbox", "redrive", "migrate", "tokens")
_PATIENCE = 930  # seconds; a function runs at most 900
_MISSING = (
    "this command needs boto3, which is not installed: run `pipx inject hireflow boto3`, or"
    " `pipx install '.[aws]'` in a checkout"
)


class FunctionFailed(CommandError):
    """An invoked function failed. `message` is the error's message, and `kind` is the name of the error's type."""

    def __init__(self, function: str, kind: str, message: str) -> None:
        super().__init__(f"function {function} failed: {message or kind or 'its log says why'}")
        self.kind = kind


def deployed_name(stage: str, function: str) -> str:
    """Return the name of a function in Lambda."""
    return f"{APP}-{stage}" if function == _API else f"{APP}-{stage}-{function}"


def client(aws: Mapping[str, str], service: str) -> Any:
    """Return a boto3 client for the account of these AWS_* variables. Raises CommandError.

    Without variables, boto3 looks for credentials itself.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise CommandError(_MISSING) from None
    config = Config(connect_timeout=5, read_timeout=_PATIENCE, retries={"total_max_attempts": 3})
    try:
        session: Any = boto3.session.Session(  # Any, because boto3's stubs accept only literals
            aws_access_key_id=aws.get("AWS_ACCESS_KEY_ID") or None,
            aws_secret_access_key=aws.get("AWS_SECRET_ACCESS_KEY") or None,
            region_name=aws.get("AWS_DEFAULT_REGION"),
        )
        return session.client(service, endpoint_url=aws.get("AWS_ENDPOINT_URL"), config=config)
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be reached: {error}") from error


def invoke(lambda_client: Any, stage: str, function: str, payload: Any) -> Any:
    """Invoke a function of a stage, wait, and return its result.

    Raises FunctionFailed, NoAnswer and other CommandErrors.
    """
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

    try:
        response = lambda_client.invoke(FunctionName=deployed_name(stage, function), Payload=json.dumps(payload))
        result = json.loads(response["Payload"].read() or b"null")
    except EndpointConnectionError as error:
        raise NoAnswer(f"function {function} cannot be invoked: {error}", refused=True) from error
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"function {function} cannot be invoked: {reason(error)}") from error
    if "FunctionError" in response:
        details = result if isinstance(result, dict) else {}
        raise FunctionFailed(function, str(details.get("errorType") or ""), str(details.get("errorMessage") or ""))
    return result


def reason(error: Exception) -> str:
    """Return why AWS refused a request, from an error of boto3."""
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if code.isdigit():  # the body is no AWS error: botocore then reports the HTTP status and the whole body
        return f"the response ({code}) is not from AWS: does another program listen at AWS_ENDPOINT_URL?"
    return str(error)


def scheduled_event(region: str) -> dict[str, Any]:
    """Return an event like those that EventBridge sends on a schedule."""
    return {
        "version": "0",
        "id": "00000000-0000-0000-0000-000000000000",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [],
        "detail": {},
    }
