"""Deploys a stage in a list of idempotent steps."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as failures
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.api.http.requests import DESCRIBING
from chalicelib.core import settings
from cli import functions
from cli.api import Api
from cli.errors import CommandError
from infra.deploy import gateway_responses, notices, project, removal
from infra.deploy.buckets import admit_forms, make_buckets, origins_of_forms
from infra.deploy.policies import deployed_name
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.locks import attempts, locked

Report = Callable[[str], None]
Failure = BotoCoreError | ClientError
# A step may return notes for the person who deploys.
Steps = tuple[tuple[str, Callable[[Target], Iterable[str] | None]], ...]
_LOG_DAYS = 14
_PROPAGATION = 90  # seconds after which all parts of AWS surely know a new role
ASYNC_RETRIES = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 21_600}
DEAD_LETTERS = {
    "MessageRetentionPeriod": str(14 * 24 * 3600),  # the longest that SQS allows
    "VisibilityTimeout": "360",  # longer than a redrive may run
    "SqsManagedSseEnabled": "true",
}


def deploy(target: Target, report: Report, steps: Steps | None = None) -> None:
    """Deploy the present code and settings, with STEPS unless other steps are given. Raises CloudError."""
    for name, step in steps or STEPS:
        report(name)
        try:
            for note in step(target) or ():
                report(f"note: {note}")
        except (BotoCoreError, ClientError) as error:
            raise CloudError(f"{name} failed: {reason(target, error)}") from error
    (target.work / "release").write_text(project.release(target))


def is_current(target: Target) -> bool:
    """Return whether the last deployment finished, has the same release, and still exists.

    This also looks into the account, because an emulator that was killed may have lost the last deployment.
    """
    release = project.release(target)
    try:
        if (target.work / "release").read_text() != release:
            return False
        s3 = target.client("s3")
        if not runs_release(target):
            return False
        for bucket in target.buckets:
            s3.head_bucket(Bucket=bucket)
        if origins_of_forms(target) != origins(target):
            return False
        if not notices.has_topic(target):
            return False
        target.client("sqs").get_queue_url(QueueName=target.dead_letters)
    except (OSError, KeyError, BotoCoreError, ClientError):
        return False
    return True


def runs_release(target: Target) -> bool:
    """Return whether the API and all functions that Chalice has recorded exist, and the functions run this release."""
    release, functions = project.release(target), target.client("lambda")
    try:
        target.client("apigateway").get_rest_api(restApiId=project.api_id(target) or "")
        found = [functions.get_function_configuration(FunctionName=name) for name in project.function_names(target)]
        return all(one["Environment"]["Variables"][project.RELEASE] == release for one in found)
    except (KeyError, BotoCoreError, ClientError):
        return False


def api_url(target: Target) -> str:
    """Return the API's address. Raises CloudError if the stage is not deployed."""
    found, endpoint = project.api_id(target), target.aws.get("AWS_ENDPOINT_URL")
    if found is None:
        raise CloudError(f"stage {target.stage} is not deployed")
    if endpoint:
        return f"{endpoint}/_aws/execute-api/{found}/api"
    region = target.aws["AWS_DEFAULT_REGION"]
    return f"https://{found}.execute-api.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/api"


def reason(target: Target, error: Failure) -> str:
    """Return why a request to AWS failed. If nothing listens at the endpoint, add what to do."""
    if not isinstance(error, failures.ConnectionError | failures.HTTPClientError):
        return str(error)
    endpoint = target.aws.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return "AWS cannot be reached: is this machine online, and the region right?"
    command = "make up" if target.stage == "local" else f"make up STAGE={target.stage}"
    return f"nothing listens at {endpoint}: if the stage is stopped, start it with {command}"


def has_api(target: Target) -> bool:
    """Return whether the API that Chalice has recorded exists."""
    found = project.api_id(target)
    try:
        return bool(found) and bool(target.client("apigateway").get_rest_api(restApiId=found))
    except (BotoCoreError, ClientError):
        return False


def origins(target: Target) -> list[str]:
    """Return the origins of the API's pages, as browsers name them. A local API has two: 127.0.0.1 and localhost. The
    setting API_ORIGINS adds further origins."""
    found = urlsplit(api_url(target))
    names = ("127.0.0.1", "localhost") if found.hostname in ("127.0.0.1", "localhost") else (found.hostname,)
    port = f":{found.port}" if found.port else ""
    further = settings.read(target.functions, "api_origins")
    return list(dict.fromkeys([*(f"{found.scheme}://{name}{port}" for name in names), *further]))


def accepts_token(target: Target, token: str) -> bool:
    """Return whether the API accepts a token. Raises CommandError if the API does not respond."""
    api = Api(api_url(target), token)
    try:
        response = api.send("GET", "/loads", {"limit": 1}, accepted=(HTTPStatus.UNAUTHORIZED,))
    finally:
        api.close()
    return response.ok


def invoke(target: Target, function: str, payload: Any) -> Any:
    """Invoke a function, wait, and return its result. Raises FunctionFailed, or CloudError if the request fails."""
    try:
        return functions.invoke(target.client("lambda"), target.stage, function, payload)
    except functions.FunctionFailed:
        raise
    except CommandError as error:
        cause = error.__cause__
        why = reason(target, cause) if isinstance(cause, BotoCoreError | ClientError) else str(error)
        raise CloudError(f"function {function} cannot be invoked: {why}") from error


def invoke_later(target: Target, function: str, payload: Any) -> None:
    """Invoke a function asynchronously; Lambda retries it. Raises CloudError if the request fails."""
    try:
        target.client("lambda").invoke(
            FunctionName=target.function(function), InvocationType="Event", Payload=json.dumps(payload)
        )
    except (BotoCoreError, ClientError) as error:
        raise CloudError(f"function {function} cannot be invoked: {reason(target, error)}") from error


def start_ahead(target: Target, functions: Iterable[str]) -> None:
    """Let the embedded cloud start workers of functions before the first event comes.

    On other clouds, a dry run starts nothing.
    """
    client = target.client("lambda")
    for function in functions:
        _best_effort(client.invoke, FunctionName=deployed_name(target.stage, function), InvocationType="DryRun")


def make_queue(target: Target) -> None:
    sqs = target.client("sqs")
    # With attributes, this request would fail if the queue exists and has other attributes.
    url = sqs.create_queue(QueueName=target.dead_letters)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes=DEAD_LETTERS)


def keep_secrets(target: Target) -> None:
    manager = target.client("secretsmanager")
    for name, value in target.secrets.items():
        try:
            if manager.get_secret_value(SecretId=name)["SecretString"] != value:
                manager.put_secret_value(SecretId=name, SecretString=value)
        except manager.exceptions.ResourceNotFoundException:
            manager.create_secret(Name=name, SecretString=value)


def run_chalice(target: Target) -> None:
    removal.remove_strays(target)
    chalice(target, "deploy", "--stage", target.stage)


def chalice(target: Target, *words: str) -> None:
    """Run a command of Chalice in the assembled project. Raises CloudError with the last lines of its output."""
    log = target.work / "chalice.log"
    busy = "another chalice deploy is still running"
    with locked(target.work / "chalice.lock", 600, busy) as lock, log.open("w") as output:
        done = subprocess.run(
            [Path(sys.executable).with_name("chalice"), *words],
            cwd=target.project,
            env=_chalice_environment(target),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[lock],
            check=False,
        )
    if done.returncode != 0:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise CloudError(f"chalice {words[0]} failed: {' | '.join(lines[-3:])} (the whole output: {log})")


def admit_pages(target: Target) -> None:
    admit_forms(target, origins(target))


def migrate(target: Target) -> list[str]:
    """Run the migrations, and return the notes about what the database owner may not change.

    The function gets the API's address, and the database owner's password if it cannot read this password itself.
    """
    event = {"api_url": api_url(target)}
    if target.owner_secret:  # the password is read for each call, because RDS rotates it
        secret = target.client("secretsmanager").get_secret_value(SecretId=target.owner_secret)["SecretString"]
        event["owner_password"] = json.loads(secret)["password"]
    return list(invoke(target, "migrate", event).get("notes", ()))


def configure_retries(target: Target) -> None:
    """Set how often Lambda retries `ingest`, and to which queue Lambda then sends the event. Allow `ingest` to invoke
    itself."""
    _set_retries(target)
    # Lambda's detection of loops would stop a load after about 16 handovers. chalicelib.ingest.handover has a limit of
    # its own.
    client = target.client("lambda")
    try:
        client.put_function_recursion_config(FunctionName=target.function("ingest"), RecursiveLoop="Allow")
    except ClientError:
        if "AWS_ENDPOINT_URL" not in target.aws:  # some emulators do not know this request
            raise


def _set_retries(target: Target) -> None:
    # Chalice has no setting for retries. The values are AWS's defaults; they are set here because loads rely on them.
    sqs = target.client("sqs")
    url = sqs.get_queue_url(QueueName=target.dead_letters)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions = target.client("lambda")
    for again in attempts(_PROPAGATION):
        try:
            functions.put_function_event_invoke_config(
                FunctionName=target.function("ingest"),
                DestinationConfig={"OnFailure": {"Destination": queue}},
                **ASYNC_RETRIES,
            )
            return
        except functions.exceptions.InvalidParameterValueException:
            again()  # Lambda does not know yet that the new role may send to the queue


def limit_logs(target: Target) -> None:
    logs = target.client("logs")
    for name in project.function_names(target):
        _best_effort(logs.create_log_group, logGroupName=f"/aws/lambda/{name}")
        _best_effort(logs.put_retention_policy, logGroupName=f"/aws/lambda/{name}", retentionInDays=_LOG_DAYS)


STEPS: Steps = (
    ("buckets", make_buckets),  # before Chalice, which adds the trigger of `ingest` to the landing bucket
    ("dead-letter queue", make_queue),
    ("notices", notices.make_topic),
    ("secrets", keep_secrets),
    ("project", project.assemble),
    ("chalice deploy", run_chalice),
    ("uploads from pages", admit_pages),  # after Chalice, which creates the API and its address
    ("migrations", migrate),
    ("headers of API Gateway", gateway_responses.add_headers),  # after Chalice, which replaces the whole API
    ("retries", configure_retries),  # after Chalice, because AWS checks that the function may send to the queue
    ("log retention", limit_logs),
)


def _best_effort(call: Callable[..., Any], **arguments: Any) -> None:
    """Send an optional request, and ignore an error response, because some emulators do not support the request."""
    try:
        call(**arguments)
    except ClientError:
        return


def _chalice_environment(target: Target) -> dict[str, str]:
    """Return this process's environment without variables that would mislead Chalice."""
    theirs = "PYTHON" if _own_credentials(target) else ("AWS_", "PYTHON")
    ours = {k: v for k, v in os.environ.items() if not k.startswith(theirs)}
    # PYTHONDONTWRITEBYTECODE keeps bytecode out of the package, which `package.precompiled` adds in its own form.
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", DESCRIBING: "1"}
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return ours | quiet | dict(target.aws) | (files if not _own_credentials(target) else {})


def _own_credentials(target: Target) -> bool:
    """Return whether boto3 finds the credentials itself, in the environment or elsewhere."""
    return not target.aws.get("AWS_ACCESS_KEY_ID")
