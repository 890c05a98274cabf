"""Tests how the deployment configures Lambda's retries of `ingest`. botocore's models check the requests."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from infra.deploy import driver
from infra.deploy.target import Target, queue_names
from infra.sessions import session

QUEUE = "arn:aws:sqs:eu-central-1:123456789012:hireflow-prod-dead-letters"


@dataclass(frozen=True)
class Stubbed(Target):
    """A target with stubbed clients."""

    clients: dict[str, Any] = field(kw_only=True)

    def client(self, service: str) -> Any:
        return self.clients[service]


def stubs(tmp_path: Path, **aws: str) -> tuple[Stubbed, Stubber, Stubber]:
    ours = session(region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    clients = {name: ours.client(name) for name in ("sqs", "lambda")}
    sqs, functions = Stubber(clients["sqs"]), Stubber(clients["lambda"])
    sqs.add_response("get_queue_url", {"QueueUrl": "q"}, {"QueueName": "hireflow-prod-dead-letters"})
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": QUEUE}}, ANY_QUEUE)
    functions.add_response(
        "put_function_event_invoke_config",
        {},
        {
            "FunctionName": "hireflow-prod-ingest",
            "DestinationConfig": {"OnFailure": {"Destination": QUEUE}},
            "MaximumRetryAttempts": 2,
            "MaximumEventAgeInSeconds": 21_600,
        },
    )
    target = Stubbed("prod", tmp_path, tmp_path, queue_names("prod"), aws, clients=clients)
    return target, sqs, functions


ANY_QUEUE = {"QueueUrl": "q", "AttributeNames": ["QueueArn"]}
ALLOW = {"FunctionName": "hireflow-prod-ingest", "RecursiveLoop": "Allow"}


def test_ingest_may_invoke_itself_more_often_than_lambda_allows_by_default(tmp_path: Path) -> None:
    target, sqs, functions = stubs(tmp_path)
    functions.add_response("put_function_recursion_config", {"RecursiveLoop": "Allow"}, ALLOW)
    with sqs, functions:
        driver.configure_retries(target)
    functions.assert_no_pending_responses()


def test_only_an_emulator_may_refuse_the_request_to_allow_this(tmp_path: Path) -> None:
    for aws, refused in (({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, False), ({}, True)):
        target, sqs, functions = stubs(tmp_path, **aws)
        functions.add_client_error("put_function_recursion_config", "InternalFailure", http_status_code=501)
        with sqs, functions:
            if refused:
                with pytest.raises(ClientError, match="InternalFailure"):
                    driver.configure_retries(target)
            else:
                driver.configure_retries(target)
        functions.assert_no_pending_responses()
