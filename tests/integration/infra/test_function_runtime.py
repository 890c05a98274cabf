"""Tests how the embedded AWS runs functions: how many workers a function has, what happens to events and requests that
find no free worker, and what happens after failures."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.api.openapi.problem_schemas import DETAILS
from infra.local.aws import EmbeddedAws
from infra.local.daemons import Daemon
from tests.integration.embedded import Client, allow, eventually, make_function, of, send_request
from tests.processes import workers_of

# A function that notes its start in a folder, and ends when its number is in the folder `open`.
WAITING = """
import json, os, time
from pathlib import Path
def handler(event, context):
    if "body" in event and event["body"]:
        event = json.loads(event["body"])
    folder = Path(event["folder"])
    with (folder / "started").open("a") as started:
        started.write(f"{event['number']}\\n")
    deadline = time.monotonic() + 30
    while not (folder / "open").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    print("number", event["number"])
    return {"statusCode": 200, "body": str(os.getpid())}
"""
ODD = """
import os, sys, time
def handler(event, context):
    if event == "fail":
        print("about to fail")
        raise ValueError("always")
    if event == "exit":
        os._exit(3)
    if event == "sleep":
        print("asleep")
        time.sleep(60)
    if event == "set":
        return {1, 2}
    if event == "context":
        return [context.function_name, context.memory_limit_in_mb, context.aws_request_id, context.log_stream_name,
                context.get_remaining_time_in_millis()]
    return [event, os.getpid()]
"""

# A function whose response has a body of as many characters as the body of the request says.
BODIES = r"""
def handler(event, context):
    length = int(event["body"])
    return {"statusCode": 201, "headers": {"X-Length": str(length)}, "body": ('"\\é\n' * length)[:length]}
"""


@pytest.fixture
def client(aws: EmbeddedAws) -> Client:
    return of(aws)


def reserve(client: Client, name: str, number: int) -> None:
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=number)


def invoke(client: Client, name: str, event: Any, **more: Any) -> Any:
    response = client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return json.loads(response["Payload"].read() or b"null")


def api_of(client: Client, function: dict[str, Any]) -> str:
    """Make an API that calls a function. Return the path of its only route, which takes POST."""
    gateway = client("apigateway")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}
    document = {
        "swagger": "2.0",
        "info": {"title": "api", "version": "1"},
        "paths": {"/x": {"post": {"responses": {}, "x-amazon-apigateway-integration": integration}}},
    }
    api = gateway.import_rest_api(body=json.dumps(document).encode())["id"]
    gateway.create_deployment(restApiId=api, stageName="api")
    return f"/_aws/execute-api/{api}/api/x"


def pids(aws: EmbeddedAws, name: str) -> list[int]:
    return [pid for pid, function in workers_of(Daemon(aws.home, "aws").pid()) if function == name]


def started(folder: Path) -> list[str]:
    file = folder / "started"
    return file.read_text().split() if file.exists() else []


def messages(client: Client, name: str) -> list[str]:
    return [
        event["message"] for event in client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    ]


def test_events_beyond_the_limit_wait_and_are_handled_in_order(
    aws: EmbeddedAws, client: Client, tmp_path: Path
) -> None:
    make_function(client, "one-by-one", WAITING, Timeout=60)
    reserve(client, "one-by-one", 1)
    for number in range(20):
        invoke(client, "one-by-one", {"folder": str(tmp_path), "number": number}, InvocationType="Event")
    assert eventually(lambda: started(tmp_path))
    assert started(tmp_path) == ["0"]
    (tmp_path / "open").touch()
    assert eventually(lambda: len(started(tmp_path)) == 20)
    assert started(tmp_path) == [str(number) for number in range(20)]
    assert len(pids(aws, "one-by-one")) == 1


def test_a_request_beyond_the_limit_is_refused_after_a_while(client: Client, tmp_path: Path) -> None:
    make_function(client, "busy", WAITING, Timeout=60)
    reserve(client, "busy", 1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(invoke, client, "busy", {"folder": str(tmp_path), "number": 1})
        assert eventually(lambda: started(tmp_path))
        with pytest.raises(ClientError) as refused:
            invoke(client, "busy", {"folder": str(tmp_path), "number": 2})
        (tmp_path / "open").touch()
        assert first.result()["statusCode"] == 200
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert started(tmp_path) == ["1"]


def test_a_request_that_gets_a_worker_in_time_is_served(client: Client, tmp_path: Path) -> None:
    make_function(client, "soon", WAITING, Timeout=60)
    reserve(client, "soon", 1)
    with ThreadPoolExecutor(2) as pool:
        calls: list[Future[Any]] = []
        for number in (1, 2):
            calls.append(pool.submit(invoke, client, "soon", {"folder": str(tmp_path), "number": number}))
            assert eventually(lambda: started(tmp_path))
        (tmp_path / "open").touch()
        first, second = (call.result()["body"] for call in calls)
    assert first == second  # the same worker has handled both
    assert started(tmp_path) == ["1", "2"]


def test_the_api_answers_429_with_a_problem_document(aws: EmbeddedAws, client: Client, tmp_path: Path) -> None:
    function = make_function(client, "api", WAITING, Timeout=60)
    reserve(client, "api", 1)
    address = api_of(client, function)

    def call(number: int) -> Any:
        body = json.dumps({"folder": str(tmp_path), "number": number}).encode()
        return send_request(aws, "POST", address, body)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, 1)
        assert eventually(lambda: started(tmp_path))
        refused = call(2)
        (tmp_path / "open").touch()
        assert first.result().status == 200
    headers = {name.lower(): value for name, value in refused.headers.items()}
    assert (refused.status, headers["retry-after"]) == (429, "1")
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    problem = {"type": "about:blank", "title": "Too Many Requests", "status": 429, "detail": DETAILS[429]}
    assert json.loads(refused.body) == problem


def test_a_body_of_any_length_arrives_unchanged(aws: EmbeddedAws, client: Client) -> None:
    address = api_of(client, make_function(client, "bodies", BODIES))
    for length in (0, 1, 16_383, 16_384, 16_385, 200_000, 3_000_000):
        expected = ('"\\é\n' * length)[:length]
        response = send_request(aws, "POST", address, str(length).encode())
        assert (response.status, response.headers["X-Length"]) == (201, str(length))
        assert response.body.decode() == expected
        result = invoke(client, "bodies", {"body": str(length)})
        assert result == {"statusCode": 201, "headers": {"X-Length": str(length)}, "body": expected}


def test_workers_are_as_many_as_the_limit_and_are_kept(aws: EmbeddedAws, client: Client, tmp_path: Path) -> None:
    make_function(client, "kept", WAITING, Timeout=60)
    reserve(client, "kept", 3)

    def burst() -> set[str]:
        with ThreadPoolExecutor(9) as pool:
            events = [{"folder": str(tmp_path), "number": number} for number in range(9)]
            return {result["body"] for result in pool.map(lambda event: invoke(client, "kept", event), events)}

    (tmp_path / "open").touch()
    first = burst()
    assert len(first) <= 3
    assert burst() <= {str(pid) for pid in pids(aws, "kept")}
    assert len(pids(aws, "kept")) <= 3


def test_a_dry_run_starts_workers_ahead(aws: EmbeddedAws, client: Client) -> None:
    make_function(client, "ahead", ODD)
    client("lambda").invoke(FunctionName="ahead", InvocationType="DryRun")
    assert eventually(lambda: len(pids(aws, "ahead")) == (os.cpu_count() or 1))
    assert invoke(client, "ahead", "x")[1] in pids(aws, "ahead")


def test_a_limit_of_zero_switches_a_function_off(client: Client) -> None:
    make_function(client, "off", ODD)
    reserve(client, "off", 0)
    with pytest.raises(ClientError, match="TooManyRequests"):
        invoke(client, "off", "x")
    client("lambda").delete_function_concurrency(FunctionName="off")
    assert invoke(client, "off", "x")[0] == "x"


def test_events_for_a_function_that_is_switched_off_are_handled_after_it_is_switched_on(
    client: Client, tmp_path: Path
) -> None:
    make_function(client, "later", WAITING, Timeout=60)
    reserve(client, "later", 0)
    (tmp_path / "open").touch()
    invoke(client, "later", {"folder": str(tmp_path), "number": 1}, InvocationType="Event")
    reserve(client, "later", 1)
    assert eventually(lambda: started(tmp_path) == ["1"])
    reserve(client, "later", 0)
    with pytest.raises(ClientError, match="TooManyRequests"):
        invoke(client, "later", {})
    invoke(client, "later", {"folder": str(tmp_path), "number": 2}, InvocationType="Event")
    client("lambda").delete_function_concurrency(FunctionName="later")
    assert eventually(lambda: started(tmp_path) == ["1", "2"])


@pytest.fixture(scope="module")
def odd(aws: EmbeddedAws) -> Callable[[Any], Any]:
    """Return a function that invokes a function with the code ODD, and returns (FunctionError or None, result)."""
    client = of(aws)
    make_function(client, "odd", ODD, Timeout=2, MemorySize=256)

    def call(event: Any) -> Any:
        response = client("lambda").invoke(FunctionName="odd", Payload=json.dumps(event))
        return response.get("FunctionError"), json.loads(response["Payload"].read())

    return call


def test_an_error_is_described_and_logged_and_the_worker_stays(odd: Callable[[Any], Any], client: Client) -> None:
    _, (_, pid) = odd("first")
    error, described = odd("fail")
    assert error == "Unhandled"
    assert (described["errorType"], described["errorMessage"]) == ("ValueError", "always")
    assert odd("again") == (None, ["again", pid])
    logged = messages(client, "odd")
    assert "about to fail" in logged
    assert "ValueError: always" in logged


def test_a_worker_that_ends_is_replaced(odd: Callable[[Any], Any]) -> None:
    _, (_, pid) = odd("first")
    error, described = odd("exit")
    assert (error, described["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert odd("again")[1][1] != pid


def test_a_killed_worker_or_template_is_replaced(odd: Callable[[Any], Any], aws: EmbeddedAws) -> None:
    _, (_, pid) = odd("first")
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: pid not in pids(aws, "odd"))
    _, (_, second) = odd("second")
    parent = int(Path(f"/proc/{second}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(parent, signal.SIGKILL)
    os.kill(second, signal.SIGKILL)
    assert eventually(lambda: not Path(f"/proc/{second}").exists())
    assert odd("third")[1][0] == "third"


def test_a_function_that_takes_too_long_is_killed_but_its_lines_are_kept(
    odd: Callable[[Any], Any], client: Client
) -> None:
    error, described = odd("sleep")
    assert (error, described["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert described["errorMessage"].endswith("Task timed out after 2.00 seconds")
    logged = messages(client, "odd")
    assert "asleep" in logged
    assert described["errorMessage"] in logged
    assert odd("again")[1][0] == "again"


def test_a_result_that_is_no_json_is_an_error(odd: Callable[[Any], Any]) -> None:
    error, described = odd("set")
    assert (error, described["errorType"]) == ("Unhandled", "TypeError")


def test_the_context_describes_the_invocation(odd: Callable[[Any], Any], client: Client) -> None:
    _, (name, memory, request_id, stream, left) = odd("context")
    assert (name, memory, len(request_id)) == ("odd", 256, 36)
    assert 0 < left <= 2000
    odd("fail")
    streams = client("logs").describe_log_streams(logGroupName="/aws/lambda/odd")["logStreams"]
    assert stream in [each["logStreamName"] for each in streams]


def test_code_that_cannot_be_imported_is_an_error_that_says_why(client: Client) -> None:
    make_function(client, "broken", "import no_such_module\n")
    response = client("lambda").invoke(FunctionName="broken")
    described = json.loads(response["Payload"].read())
    assert response["FunctionError"] == "Unhandled"
    assert (described["errorType"], "no_such_module" in described["errorMessage"]) == ("ModuleNotFoundError", True)


def test_changed_settings_reach_the_next_invocation(client: Client) -> None:
    make_function(client, "changed", "import os\ndef handler(event, context):\n    return os.environ.get('WORD')\n")
    for word in ("first", "second"):
        client("lambda").update_function_configuration(
            FunctionName="changed", Environment={"Variables": {"WORD": word}}
        )
        assert invoke(client, "changed", {}) == word


def test_an_event_that_always_fails_ends_in_its_queue(client: Client) -> None:
    url = client("sqs").create_queue(QueueName="given-up")["QueueUrl"]
    queue = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    make_function(client, "failing", ODD)
    allow(client, "failing-role", queue, "sqs:SendMessage")
    client("lambda").put_function_event_invoke_config(
        FunctionName="failing", MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    invoke(client, "failing", "fail", InvocationType="Event")
    received: list[Any] = []

    def receive() -> bool:
        received.extend(client("sqs").receive_message(QueueUrl=url).get("Messages", []))
        return bool(received)

    assert eventually(receive)
    body = json.loads(received[0]["Body"])
    assert (body["requestPayload"], body["responsePayload"]["errorMessage"]) == ("fail", "always")
    assert messages(client, "failing").count("about to fail") == 2


def test_modules_that_a_worker_has_needed_are_there_for_the_next_one(aws: EmbeddedAws, client: Client) -> None:
    code = """
import os, sys
def handler(event, context):
    there = "wave" in sys.modules
    import wave
    return [there, os.getpid()]
"""
    make_function(client, "learning", code)
    there, pid = invoke(client, "learning", {})
    assert not there
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: pid not in pids(aws, "learning"))
    there, second = invoke(client, "learning", {})
    assert there
    assert second != pid


def test_lines_of_several_threads_do_not_disturb_each_other_or_the_result(client: Client) -> None:
    code = """
import sys
from threading import Thread
def handler(event, context):
    threads = [Thread(target=sys.stdout.write, args=(letter * 1_000_000 + "\\n",)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    return "r" * 1_000_000
"""
    make_function(client, "threads", code, Timeout=60)
    for _ in range(5):
        assert invoke(client, "threads", {}) == "r" * 1_000_000
    assert set(messages(client, "threads")) <= {letter * 1_000_000 for letter in "abcd"}


def test_a_line_that_is_printed_in_many_pieces_stays_one_line(client: Client) -> None:
    """The time must not grow with the square of the number of pieces: this function would then take minutes."""
    code = """
def handler(event, context):
    for _ in range(1_000_000):
        print("x", end="")
"""
    make_function(client, "pieces", code, Timeout=60)
    assert invoke(client, "pieces", {}) is None
    assert eventually(lambda: messages(client, "pieces") == ["x" * 1_000_000])
