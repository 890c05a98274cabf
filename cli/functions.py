"""The functions of a stage, called through AWS Lambda: what the API does not serve."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cli.errors import CommandError, NoAnswer

APP = "hireflow"
_API = "api"  # what Chalice names by the stage alone
NAMES = (_API, "ingest", "backup", "verify", "sweep", "redrive", "migrate", "tokens")
_PATIENCE = 930  # seconds; the longest function that is waited for has 900
_MISSING = (
    "this needs boto3, which is not installed: pipx inject hireflow boto3, or pipx install '.[aws]' in a checkout"
)


class FunctionFailed(CommandError):
    """A function was called and failed. The message is its own, `kind` the type of its error as Lambda names it."""

    def __init__(self, function: str, kind: str, message: str) -> None:
        super().__init__(f"{function} failed: {message or kind or 'its log says why'}")
        self.kind = kind


def deployed_name(stage: str, function: str) -> str:
    """What Lambda calls a function."""
    return f"{APP}-{stage}" if function == _API else f"{APP}-{stage}-{function}"


def client(aws: Mapping[str, str], service: str) -> Any:
    """A boto3 client, by AWS_* variables or, without them, as boto3 finds an account. Raises CommandError."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise CommandError(_MISSING) from None
    config = Config(connect_timeout=5, read_timeout=_PATIENCE, retries={"total_max_attempts": 3})
    try:
        session: Any = boto3.session.Session(  # its stubs know the services by literals
            aws_access_key_id=aws.get("AWS_ACCESS_KEY_ID") or None,
            aws_secret_access_key=aws.get("AWS_SECRET_ACCESS_KEY") or None,
            region_name=aws.get("AWS_DEFAULT_REGION"),
        )
        return session.client(service, endpoint_url=aws.get("AWS_ENDPOINT_URL"), config=config)
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {error}") from error


def invoke(lambda_client: Any, stage: str, function: str, payload: Any) -> Any:
    """Call a function of a stage, and wait for its result.

    Raises FunctionFailed, NoAnswer and other CommandErrors.
    """
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

    try:
        response = lambda_client.invoke(FunctionName=deployed_name(stage, function), Payload=json.dumps(payload))
        result = json.loads(response["Payload"].read() or b"null")
    except EndpointConnectionError as error:
        raise NoAnswer(f"{function} cannot be invoked: {error}", refused=True) from error
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"{function} cannot be invoked: {reason(error)}") from error
    if "FunctionError" in response:
        details = result if isinstance(result, dict) else {}
        raise FunctionFailed(function, str(details.get("errorType") or ""), str(details.get("errorMessage") or ""))
    return result


def reason(error: Exception) -> str:
    """Why AWS did not do what was asked for, from an error of boto3's."""
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if code.isdigit():  # botocore found no error of AWS's in the body, and takes the status and all of the body
        return f"the answer, {code}, is not of AWS: does another program answer at AWS_ENDPOINT_URL?"
    return str(error)


def scheduled_event(region: str) -> dict[str, Any]:
    """What EventBridge sends."""
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
