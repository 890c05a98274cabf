"""Tests the front of the embedded AWS, which adds missing operations to ministack.

The tests with `still` in their names show that ministack alone lacks these operations. If such a test fails with a
newer ministack, a part of the front is no longer needed.
"""

import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from infra.local import ports
from infra.local.aws import CREDENTIALS, EmbeddedAws, environment
from tests.integration.embedded import Client, clients, eventually, make_role, of

FUNCTION = """
import os
def handler(event, context):
    print("start")
    print("the same line")
    print("the same line")
    return {"statusCode": 200, "body": event.get("httpMethod", "") + event.get("path", "")}
def environment(event, context):
    return dict(os.environ)
"""
PROXY = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"


@pytest.fixture
def client(aws: EmbeddedAws) -> Client:
    return of(aws)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Start ministack without the front."""
    port = ports.free_port()
    folder = tmp_path_factory.mktemp("bare")
    env = {
        "PATH": os.defpath,
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": ports.HOST,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [environment(lambda _: None), "-m", "ministack"], env=env, cwd=folder, stdout=log, stderr=log
        )
        try:
            assert eventually(lambda: not ports.is_free(port)), "ministack did not start"
            yield clients(port, CREDENTIALS)
        finally:
            process.terminate()
            process.wait(30)


def document(paths: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"swagger": "2.0", "info": {"title": "api", "version": "1"}, "paths": paths, **more}).encode()


def proxied(arn: str, **more: Any) -> dict[str, Any]:
    return {
        "responses": {},
        "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": PROXY.format(arn=arn)},
        **more,
    }


PREFLIGHT: dict[str, Any] = {
    "responses": {"200": {"description": "", "headers": {"Access-Control-Allow-Origin": {"type": "string"}}}},
    "x-amazon-apigateway-integration": {
        "type": "mock",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "responses": {
            "default": {
                "statusCode": "200",
                "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
            }
        },
    },
}


def make_function(client: Client, name: str, handler: str = "handler", **more: Any) -> dict[str, Any]:
    code = BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("code.py", FUNCTION)
    role = make_role(client, f"{name}-role")
    made = client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler=f"code.{handler}",
        Code={"ZipFile": code.getvalue()},
        **more,
    )
    return dict(made)


def test_import_rest_api_is_still_missing(bare: Client) -> None:
    def paths_of_an_import() -> set[str]:
        api = bare("apigateway").import_rest_api(body=document({"/x": {"get": PREFLIGHT}}))
        return paths_of(bare, api["id"])

    assert "/x" not in without_errors(paths_of_an_import)


def test_put_rest_api_is_still_missing(bare: Client) -> None:
    api = bare("apigateway").create_rest_api(name="put")

    def paths_of_an_overwrite() -> set[str]:
        body = document({"/x": {"get": PREFLIGHT}})
        bare("apigateway").put_rest_api(restApiId=api["id"], mode="overwrite", body=body)
        return paths_of(bare, api["id"])

    assert "/x" not in without_errors(paths_of_an_overwrite)


def paths_of(client: Client, api_id: str) -> set[str]:
    return {item["path"] for item in client("apigateway").get_resources(restApiId=api_id)["items"]}


def without_errors(work: Callable[[], set[str]]) -> set[str]:
    """Return the result of `work`, or an empty set if the call fails or has an unexpected response."""
    try:
        return work()
    except (ClientError, BotoCoreError, KeyError):
        return set()


def test_an_empty_minimum_compression_size_is_still_a_problem(bare: Client) -> None:
    gateway = bare("apigateway")
    api = gateway.create_rest_api(name="compression")
    with pytest.raises((ClientError, BotoCoreError, ValueError)):  # botocore cannot parse the response
        gateway.update_rest_api(restApiId=api["id"], patchOperations=[compression("")])


def test_a_new_function_is_still_pending(bare: Client) -> None:
    assert make_function(bare, "pending")["State"] == "Pending"
    state = bare("lambda").get_function_configuration(FunctionName="pending")["State"]
    assert state == "Pending", "ministack activates functions at once: the front need not hold the response back"


def compression(value: str) -> dict[str, str]:
    return {"op": "replace", "path": "/minimumCompressionSize", "value": value}


def test_an_imported_api_serves_its_methods(client: Client, aws: EmbeddedAws) -> None:
    gateway, arn = client("apigateway"), make_function(client, "answers")["FunctionArn"]
    paths = {"/a/{b}": {"get": proxied(arn), "post": proxied(arn), "options": PREFLIGHT}, "/": {"get": proxied(arn)}}
    api = gateway.import_rest_api(body=document(paths), parameters={"endpointConfigurationTypes": "REGIONAL"})
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    deploy(client, api["id"], "answers")
    assert call(aws, api["id"], "GET", "/a/1") == (200, "GET/a/1", None)
    assert call(aws, api["id"], "POST", "/a/x") == (200, "POST/a/x", None)
    assert call(aws, api["id"], "GET", "/") == (200, "GET/", None)
    status, _, origin = call(aws, api["id"], "OPTIONS", "/a/1")
    assert (status, origin) == (200, "*")
    assert call(aws, api["id"], "GET", "/b")[0] in (403, 404)


def test_an_overwritten_api_has_exactly_the_methods_of_the_new_document(client: Client, aws: EmbeddedAws) -> None:
    gateway, arn = client("apigateway"), make_function(client, "overwritten")["FunctionArn"]
    api = gateway.import_rest_api(
        body=document({"/old/deep": {"get": proxied(arn)}, "/kept": {"get": proxied(arn), "put": proxied(arn)}})
    )
    gateway.put_rest_api(
        restApiId=api["id"],
        mode="overwrite",
        body=document({"/kept": {"get": proxied(arn)}, "/new": {"x-amazon-apigateway-any-method": proxied(arn)}}),
    )
    found = gateway.get_resources(restApiId=api["id"], embed=["methods"])["items"]
    methods = {item["path"]: set(item.get("resourceMethods", ())) for item in found}
    assert methods == {"/": set(), "/kept": {"GET"}, "/new": {"ANY"}}
    deploy(client, api["id"], "overwritten")
    assert call(aws, api["id"], "DELETE", "/new") == (200, "DELETE/new", None)


def test_binary_media_types_are_imported_and_overwritten(client: Client) -> None:
    def binary(*types: str) -> bytes:
        return document({"/x": {"get": PREFLIGHT}}, **{"x-amazon-apigateway-binary-media-types": list(types)})

    gateway = client("apigateway")
    api = gateway.import_rest_api(body=binary("application/octet-stream", "application/avro"))
    found = gateway.get_rest_api(restApiId=api["id"])["binaryMediaTypes"]
    assert found == ["application/octet-stream", "application/avro"]
    for types in (["text/csv", "application/gzip"], []):
        gateway.put_rest_api(restApiId=api["id"], mode="overwrite", body=binary(*types))
        assert gateway.get_rest_api(restApiId=api["id"])["binaryMediaTypes"] == types


def test_an_empty_minimum_compression_size_changes_nothing(client: Client) -> None:
    gateway = client("apigateway")
    api = gateway.import_rest_api(body=document({"/x": {"get": PREFLIGHT}}))
    name = {"op": "replace", "path": "/name", "value": "renamed"}
    gateway.update_rest_api(restApiId=api["id"], patchOperations=[compression(""), name])
    assert gateway.get_rest_api(restApiId=api["id"])["name"] == "renamed"


def test_a_function_is_active_when_the_response_to_its_creation_or_update_arrives(client: Client) -> None:
    functions = client("lambda")
    make_function(client, "active")
    assert functions.get_function_configuration(FunctionName="active")["State"] == "Active"
    functions.update_function_configuration(FunctionName="active", Timeout=7)
    updated = functions.get_function_configuration(FunctionName="active")
    assert (updated["Timeout"], updated["LastUpdateStatus"]) == (7, "Successful")


def test_an_error_of_ministack_passes_unchanged(client: Client) -> None:
    with pytest.raises(ClientError) as caught:
        client("lambda").update_function_configuration(FunctionName="missing", Timeout=7)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_functions_inherit_no_variables_of_this_process(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_function(client, "sees", "environment", Environment={"Variables": {"MINE": "1"}})
    response = client("lambda").invoke(FunctionName="sees")
    seen = json.loads(response["Payload"].read())
    assert seen["MINE"] == "1"
    assert seen["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert not {"HOME", "PYTHONPATH", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & set(seen)


def test_a_function_may_do_only_what_its_role_allows(client: Client) -> None:
    """If the embedded AWS did not check the policies of roles, wrong policies would be noticed only on AWS."""
    client("s3").create_bucket(Bucket="guarded")
    credentials = make_function(client, "guard", "environment")
    seen = json.loads(client("lambda").invoke(FunctionName="guard")["Payload"].read())
    make: Any = boto3.client
    s3 = make(
        "s3",
        endpoint_url=seen["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=seen["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=seen["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=seen["AWS_SESSION_TOKEN"],
    )
    assert credentials["Role"].endswith("guard-role")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket="guarded", Key="a", Body=b"")
    allow = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": "arn:aws:s3:::guarded/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    client("iam").put_role_policy(RoleName="guard-role", PolicyName="put", PolicyDocument=policy)
    s3.put_object(Bucket="guarded", Key="a", Body=b"")


def test_state_survives_a_stop(tmp_path: Path) -> None:
    server = EmbeddedAws(tmp_path / "aws")
    port = ports.free_port()
    server.start(port)
    try:
        client = clients(port, server.credentials)
        client("s3").create_bucket(Bucket="kept")
        client("s3").put_object(Bucket="kept", Key="a b/ü", Body=b"body")
        make_function(client, "kept")
        api = client("apigateway").import_rest_api(body=document({"/x": {"get": PREFLIGHT}}))
        server.stop()
        assert server.port() is None
        server.start(port)
        assert client("s3").get_object(Bucket="kept", Key="a b/ü")["Body"].read() == b"body"
        assert client("lambda").get_function_configuration(FunctionName="kept")["State"] == "Active"
        paths = {item["path"] for item in client("apigateway").get_resources(restApiId=api["id"])["items"]}
        assert paths == {"/", "/x"}
    finally:
        server.stop()


def test_a_killed_server_is_reported_as_stopped_and_can_be_started_again(tmp_path: Path) -> None:
    server = EmbeddedAws(tmp_path / "aws")
    port = ports.free_port()
    server.start(port)
    try:
        server.kill()
        assert server.port() is None
        server.start(port)
        assert server.healthy()
    finally:
        server.stop()


def deploy(client: Client, api_id: str, function: str) -> None:
    client("apigateway").create_deployment(restApiId=api_id, stageName="api")
    client("lambda").add_permission(
        FunctionName=function, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )


def call(aws: EmbeddedAws, api_id: str, method: str, path: str) -> tuple[int, str, str | None]:
    connection = HTTPConnection(ports.HOST, aws.port() or 0, timeout=30)
    connection.request(method, f"/_aws/execute-api/{api_id}/api{path}")
    response = connection.getresponse()
    body, origin = response.read().decode(), response.headers.get("Access-Control-Allow-Origin")
    connection.close()
    return response.status, body, origin if method == "OPTIONS" else None


def write_events(client: Client, group: str, times: list[int], messages: list[str]) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    events = [{"timestamp": at, "message": text} for at, text in zip(times, messages, strict=True)]
    for start in range(0, len(events), 10_000):
        logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events[start : start + 10_000])


def test_pages_of_log_events_are_still_missing(bare: Client) -> None:
    write_events(bare, "/bare", [1, 2], ["a", "b"])
    found = bare("logs").filter_log_events(logGroupName="/bare", limit=1)
    assert (len(found["events"]), found.get("nextToken")) == (1, None)


def events_of_function(client: Client, name: str) -> list[dict[str, Any]]:
    """Return the log events of one invocation of a new function."""
    make_function(client, name)
    assert eventually(lambda: client("lambda").invoke(FunctionName=name)["StatusCode"] == 200)
    logs = client("logs")
    return list(logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"])


def test_ids_of_log_events_of_functions_are_still_missing(bare: Client) -> None:
    assert not any("eventId" in event for event in events_of_function(bare, "unnamed"))


def test_log_events_of_functions_have_ids(client: Client) -> None:
    found = events_of_function(client, "named")
    assert len({event["eventId"] for event in found}) == len(found) == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10_000])
def test_log_events_come_in_pages_with_ids(client: Client, limit: int) -> None:
    group = f"/paged/{limit}"
    times = [1000, 1000, 1000, 1001, 1002, 1002, 1003]
    write_events(client, group, times, ["a", "a", "b", "c", "a", "a", "d"])
    pages = client("logs").get_paginator("filter_log_events")
    every = pages.paginate(logGroupName=group, PaginationConfig={"PageSize": limit})
    found = [event for page in every for event in page["events"]]
    assert [(event["timestamp"], event["message"]) for event in found] == list(
        zip(times, ["a", "a", "b", "c", "a", "a", "d"], strict=True)
    )
    assert len({event["eventId"] for event in found}) == len(found)
    again = client("logs").filter_log_events(logGroupName=group, startTime=1002)["events"]
    assert [event["eventId"] for event in again] == [event["eventId"] for event in found[4:]]


def test_no_log_event_is_lost_beyond_the_first_ten_thousand(client: Client) -> None:
    count = 23_456
    write_events(client, "/many", [n // 3 for n in range(count)], [str(n) for n in range(count)])
    pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName="/many")
    assert [event["message"] for page in pages for event in page["events"]] == [str(n) for n in range(count)]


def test_an_error_in_a_request_for_log_events_is_reported(client: Client) -> None:
    logs = client("logs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.filter_log_events(logGroupName="/nowhere")


ODD_KEYS = sorted(["a\x01.csv", "a\r.csv", "a\n.csv", "a\ufffe.csv", "a b+c%20<&>é.csv", "plain.csv"], key=str.encode)


def test_ministack_still_cannot_list_versions_of_keys_with_characters_that_xml_does_not_allow(bare: Client) -> None:
    with pytest.raises(ClientError):
        odd_versions(bare)


def test_versions_of_any_key_can_be_listed(client: Client) -> None:
    assert odd_versions(client) == ODD_KEYS


def odd_versions(client: Client) -> list[str]:
    s3, bucket, found = client("s3"), "odd-keys", []
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1}):
        found += [version["Key"] for version in page.get("Versions", ())]
    return found
