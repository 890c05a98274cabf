"""Helps tests with an embedded AWS: makes clients, functions and roles, and sends plain HTTP requests."""

import json
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

import boto3
from botocore.config import Config

from infra.local import ports
from infra.local.aws import EmbeddedAws

Client = Callable[[str], Any]
ENVIRONMENT = """
import os
def handler(event, context):
    return dict(os.environ)
"""
FAILING = """
def handler(event, context):
    raise ValueError("always")
"""


@dataclass
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


def clients(port: int, credentials: Mapping[str, str], **config: Any) -> Client:
    def client(service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=f"http://{ports.HOST}:{port}",
            region_name=credentials.get("AWS_DEFAULT_REGION", "us-east-1"),
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60, signature_version="s3v4")
            .merge(Config(**config)) if service == "s3"
            else Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )  # fmt: skip

    return client


def of(aws: EmbeddedAws) -> Client:
    return clients(aws.port() or 0, aws.credentials)


def send_request(
    aws: EmbeddedAws, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Send one request without a signature. Nothing is added to the given headers and body."""
    with closing(HTTPConnection(ports.HOST, aws.port() or 0, timeout=60)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Response(response.status, dict(response.headers.items()), response.read())


def make_role(client: Client, name: str) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return str(role["Role"]["Arn"])


def allow(client: Client, role: str, resource: str, *actions: str) -> None:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("iam").put_role_policy(RoleName=role, PolicyName=actions[0].replace(":", "-"), PolicyDocument=policy)


def make_function(client: Client, name: str, code: str = ENVIRONMENT, **more: Any) -> dict[str, Any]:
    """Create a function with a role of its own, `<name>-role`. Return the response of Lambda."""
    zipped = BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("code.py", code)
    response = client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=make_role(client, f"{name}-role"),
        Handler="code.handler",
        Code={"ZipFile": zipped.getvalue()},
        **more,
    )
    return dict(response)


def environment_of(client: Client, name: str) -> dict[str, str]:
    """Return the environment variables that a function sees. The code of the function must be ENVIRONMENT."""
    return dict(json.loads(client("lambda").invoke(FunctionName=name)["Payload"].read()))


def eventually(check: Callable[[], Any], seconds: float = 30) -> bool:
    """Call `check` again and again until it returns a true value. Return False if this does not happen within
    `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
