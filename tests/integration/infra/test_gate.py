"""Tests the embedded AWS with different clients. The embedded AWS serves only clients that have the credentials of the
stage."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from infra import venv
from infra.install import sets
from infra.local import ports
from infra.local.aws import EmbeddedAws
from infra.local.gate.bodies import PATIENCE
from infra.venv import ROOT
from tests.integration import embedded
from tests.integration.embedded import Client, Response, clients, send_request

Curl = Callable[..., Response]
BODY = b"1,Sales\n" * 1000


@pytest.fixture(scope="module")
def client(aws: EmbeddedAws) -> Client:
    return embedded.of(aws)


@pytest.fixture(scope="module")
def s3(client: Client) -> Any:
    s3_client = client("s3")
    s3_client.create_bucket(Bucket="bucket")
    return s3_client


@pytest.fixture
def url(aws: EmbeddedAws) -> str:
    return f"http://{ports.HOST}:{aws.port()}"


def read(s3: Any, key: str) -> bytes:
    return bytes(s3.get_object(Bucket="bucket", Key=key)["Body"].read())


# --- boto3


@pytest.mark.parametrize("key", ["a", "a b/ü%2F+&?=", "dir//x", "..x/.y", "a+b c%20d", "'()*!~"])
def test_boto3_puts_reads_copies_and_deletes(s3: Any, key: str) -> None:
    s3.put_object(Bucket="bucket", Key=key, Body=BODY, Metadata={"encoding": "utf-8"}, ContentType="text/csv")
    assert read(s3, key) == BODY
    part = s3.get_object(Bucket="bucket", Key=key, Range="bytes=10-19")
    assert (part["Body"].read(), part["ResponseMetadata"]["HTTPStatusCode"]) == (BODY[10:20], 206)
    assert s3.head_object(Bucket="bucket", Key=key)["Metadata"] == {"encoding": "utf-8"}
    s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": key})
    assert read(s3, "copy") == BODY
    assert key in [found["Key"] for found in s3.list_objects_v2(Bucket="bucket", Prefix=key)["Contents"]]
    s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": key}, {"Key": "copy"}]})
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="bucket", Key=key)


def test_boto3_sends_parts_from_many_threads(s3: Any, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(24 * 1024 * 1024))
    parts = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024, max_concurrency=8)
    s3.upload_file(str(file), "bucket", "large", Config=parts)
    s3.download_file("bucket", "large", str(tmp_path / "back"), Config=parts)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    "config", [{"s3": {"payload_signing_enabled": False}}, {"request_checksum_calculation": "when_required"}]
)
def test_other_ways_of_signing_in_boto3_are_accepted(aws: EmbeddedAws, s3: Any, config: dict[str, Any]) -> None:
    other = clients(aws.port() or 0, aws.credentials, **config)("s3")
    other.put_object(Bucket="bucket", Key="otherwise", Body=BODY)
    assert read(s3, "otherwise") == BODY


def test_presigned_links_read_and_write_one_object(s3: Any) -> None:
    put = s3.generate_presigned_url("put_object", {"Bucket": "bucket", "Key": "by a link+"}, 60)
    request = urllib.request.Request(put, BODY, {"Content-Type": ""}, method="PUT")
    assert urllib.request.urlopen(request, timeout=30).status == 200
    get = s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "by a link+"}, 60)
    assert urllib.request.urlopen(get, timeout=30).read() == BODY
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(get.replace("by%20a%20link", "other"), timeout=30)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(get, method="DELETE"), timeout=30)


def sent_form(form: dict[str, Any], **changed: str) -> int:
    boundary = uuid.uuid4().hex
    fields = {**form["fields"], **changed}
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    parts.append('Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n1,Sales\n')
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    try:
        return int(urllib.request.urlopen(urllib.request.Request(form["url"], body.encode(), kind), timeout=30).status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_forms_are_accepted_within_their_conditions(s3: Any) -> None:
    conditions = [["content-length-range", 1, 8], ["starts-with", "$x-amz-meta-a", "b"]]
    form = s3.generate_presigned_post("bucket", "by a form", {"x-amz-meta-a": "bc"}, conditions, 60)
    assert sent_form(form) == 204
    assert read(s3, "by a form") == b"1,Sales\n"
    for changed in (
        {"key": "other"},
        {"x-amz-meta-a": "c"},
        {"acl": "public-read"},
        {"x-amz-signature": "0" * 64},
        {"x-amz-credential": form["fields"]["x-amz-credential"].replace("AKIA", "AKIB")},
    ):
        assert sent_form(form, **changed) in (400, 403), changed
    short = s3.generate_presigned_post("bucket", "short", None, [["content-length-range", 1, 7]], 60)
    assert sent_form(short) == 400
    assert "other" not in [found["Key"] for found in s3.list_objects_v2(Bucket="bucket")["Contents"]]


def chunked(aws: EmbeddedAws, payload: str, body: bytes, length: int) -> Response:
    url = f"http://{ports.HOST}:{aws.port()}/bucket/chunked"
    headers = {"X-Amz-Decoded-Content-Length": str(length), "X-Amz-Trailer": "x-amz-checksum-crc32"}
    request = AWSRequest("PUT", url, {**headers, "Content-Encoding": "aws-chunked"})

    class WithThisHash(S3SigV4Auth):
        def payload(self, _: AWSRequest) -> str:
            return payload

    key, secret = aws.credentials["AWS_ACCESS_KEY_ID"], aws.credentials["AWS_SECRET_ACCESS_KEY"]
    WithThisHash(Credentials(key, secret), "s3", "us-east-1").add_auth(request)
    return send_request(aws, "PUT", "/bucket/chunked", body, dict(request.headers.items()))


def test_bodies_in_chunks_are_accepted(aws: EmbeddedAws, s3: Any) -> None:
    checksum = b64encode(crc32(b"abcde").to_bytes(4, "big"))
    body = b"3\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:" + checksum + b"\r\n\r\n"
    response = chunked(aws, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, 5)
    assert response.status == 200, response.body
    assert read(s3, "chunked") == b"abcde"
    assert chunked(aws, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, 6).status == 400
    assert chunked(aws, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", body, 5).status == 400, "no chunk is signed"


def test_a_body_other_than_the_signed_one_changes_nothing(aws: EmbeddedAws, s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="kept", Body=b"before")
    url = f"http://{ports.HOST}:{aws.port()}/bucket/kept"
    request = AWSRequest("PUT", url, data=b"signed")
    key, secret = aws.credentials["AWS_ACCESS_KEY_ID"], aws.credentials["AWS_SECRET_ACCESS_KEY"]
    S3SigV4Auth(Credentials(key, secret), "s3", "us-east-1").add_auth(request)
    response = send_request(aws, "PUT", "/bucket/kept", b"forged", dict(request.headers.items()))
    assert (response.status, b"XAmzContentSHA256Mismatch" in response.body) == (400, True)
    assert read(s3, "kept") == b"before"


def test_a_refusal_uses_the_protocol_of_the_service(aws: EmbeddedAws) -> None:
    stranger = clients(aws.port() or 0, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        stranger("s3").put_object(Bucket="bucket", Key="x", Body=b"x" * 10_000_000)
    for service, call in (
        ("sqs", "list_queues"),
        ("lambda", "list_functions"),
        ("iam", "list_roles"),
        ("sts", "get_caller_identity"),
    ):
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            getattr(stranger(service), call)()
    forger = clients(aws.port() or 0, {**aws.credentials, "AWS_SECRET_ACCESS_KEY": "x"})
    for service, call in (("s3", "list_buckets"), ("lambda", "list_functions")):
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            getattr(forger(service), call)()


# --- curl


@pytest.fixture
def curl(aws: EmbeddedAws, tmp_path: Path) -> Curl:
    user = f"{aws.credentials['AWS_ACCESS_KEY_ID']}:{aws.credentials['AWS_SECRET_ACCESS_KEY']}"

    def run(*words: str, stdin: bytes = b"") -> Response:
        at = ["curl", "-sS", "-o", str(tmp_path / "response"), "-w", "%{http_code}"]
        sign = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user]
        done = subprocess.run([*at, *sign, *words], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        body = tmp_path / "response"
        return Response(int(done.stdout), {}, body.read_bytes() if body.exists() else b"")

    return run


@pytest.mark.parametrize(
    "more", [[], ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]], ids=["bare", "unsigned payload"]
)
@pytest.mark.parametrize("size", [10, 3_000_000])
def test_curl_sends_and_reads_files(curl: Curl, s3: Any, url: str, tmp_path: Path, size: int, more: list[str]) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(os.urandom(size))
    assert curl(*more, "-T", str(file), f"{url}/bucket/by%20curl%2B.csv").status == 200
    assert read(s3, "by curl+.csv") == file.read_bytes()
    assert curl(f"{url}/bucket/by%20curl%2B.csv").body == file.read_bytes()
    assert curl(f"{url}/bucket?list-type=2&prefix=by%20").status == 200
    assert curl("-X", "DELETE", f"{url}/bucket/by%20curl%2B.csv").status == 204


def test_the_error_for_an_upload_without_a_length_tells_curl_users_what_to_do(curl: Curl, url: str) -> None:
    response = curl("-T", "-", f"{url}/bucket/stream", stdin=b"x")
    assert (response.status, b"curl -T file does not" in response.body) == (501, True)


# --- the AWS CLI


@pytest.fixture(scope="session")
def aws_cli() -> Path:
    own = sets.apart(ROOT, "awscli")
    venv.ensure([own], print)
    return own.python.with_name("aws")


def test_the_aws_cli_works(aws_cli: Path, aws: EmbeddedAws, s3: Any, url: str, tmp_path: Path) -> None:
    env = {**aws.credentials, "AWS_ENDPOINT_URL": url, "PATH": os.defpath, "HOME": str(tmp_path), "AWS_PAGER": ""}

    def run(*words: str) -> str:
        done = subprocess.run([aws_cli, *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    file = tmp_path / "a file.csv"
    file.write_bytes(os.urandom(20_000_000))
    run("s3", "cp", str(file), "s3://bucket/cli/")
    run("s3", "cp", "s3://bucket/cli/a file.csv", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == file.read_bytes() == read(s3, "cli/a file.csv")
    run("s3", "cp", str(file), "s3://bucket/cli/checked", "--checksum-algorithm", "CRC32")
    assert "a file.csv" in run("s3", "ls", "s3://bucket/cli/")
    run("s3", "mv", "s3://bucket/cli/a file.csv", "s3://bucket/cli/moved")
    run("s3", "sync", "s3://bucket/cli/", str(tmp_path / "synced"))
    assert (tmp_path / "synced" / "moved").read_bytes() == file.read_bytes()
    # The command `sqs` needs this option.
    run("sqs", "create-queue", "--queue-name", "of-the-cli", "--endpoint-url", url)
    assert "of-the-cli" in run("sqs", "list-queues", "--endpoint-url", url)
    assert json.loads(run("lambda", "list-functions"))["Functions"] is not None
    assert json.loads(run("iam", "list-roles"))["Roles"] is not None
    run("configure", "set", "default.s3.signature_version", "s3v4")  # newer versions of the AWS CLI have this default
    link = run("s3", "presign", "s3://bucket/cli/moved").strip()
    assert sha256(urllib.request.urlopen(link, timeout=30).read()).digest() == sha256(file.read_bytes()).digest()


# --- refused requests


def test_ministacks_control_paths_are_closed(aws: EmbeddedAws, s3: Any) -> None:
    assert send_request(aws, "GET", "/_ministack/ready").status == 200
    s3.put_object(Bucket="bucket", Key="survives", Body=b"x")
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        for path in ("/_ministack/reset", "/_ministack/config", "/_ministack/health", "/_localstack/health", "/health"):
            assert send_request(aws, method, path, b"").status == 404
    assert read(s3, "survives") == b"x"


def test_requests_without_valid_credentials_are_refused(aws: EmbeddedAws, client: Client) -> None:
    embedded.make_function(client, "inside")
    for method, path, headers in (
        ("POST", "/2015-03-31/functions/inside/invocations", {}),
        ("POST", "/2015-03-31/functions/inside/invocations", {"Authorization": AS_ROOT}),
        ("GET", "/2015-03-31/functions", {"Authorization": AS_ROOT}),
        ("GET", "/2015-03-31/functions?X-Amz-Credential=test%2F1%2Fus-east-1%2Flambda%2Faws4_request", {}),
        ("GET", "/", {"Authorization": "AWS test:signature"}),
        ("GET", "/?AWSAccessKeyId=test&Signature=x&Expires=9999999999", {}),
        ("GET", "/latest/meta-data/", {}),
        ("GET", "/bucket/survives", {}),
        ("GET", "/_ministack/lambda-code/inside", {}),
        ("POST", "/?Action=GetCallerIdentity&Version=2011-06-15", {}),
        ("POST", "/", {"X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth"}),
    ):
        response = send_request(aws, method, path, b"{}" if method == "POST" else None, headers)
        assert response.status in (400, 403, 404), (path, response)
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


AS_ROOT = (
    "AWS4-HMAC-SHA256 Credential=test/20261124/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date,"
    f" Signature={'0' * 64}"
)


@pytest.mark.parametrize(
    "host", ["evil.example", "bucket.s3.localhost", "inside.lambda-url.us-east-1.localhost", "[::1]"]
)
def test_requests_under_other_host_names_are_refused(aws: EmbeddedAws, host: str) -> None:
    assert send_request(aws, "GET", "/_ministack/ready", None, {"Host": host}).status == 421


def test_a_preflight_is_refused_without_a_rule_of_a_bucket(aws: EmbeddedAws, s3: Any) -> None:
    origin = "http://pages.example"
    rule: Any = {"AllowedOrigins": [origin], "AllowedMethods": ["POST"], "AllowedHeaders": ["*"]}
    s3.create_bucket(Bucket="with-a-rule")
    s3.put_bucket_cors(Bucket="with-a-rule", CORSConfiguration={"CORSRules": [rule]})

    def preflight(path: str, origin: str, method: str = "POST") -> tuple[int, str | None]:
        headers = {"Origin": origin, "Access-Control-Request-Method": method}
        response = send_request(aws, "OPTIONS", path, None, headers)
        return response.status, response.headers.get("Access-Control-Allow-Origin")

    assert preflight("/with-a-rule", origin) == (200, origin)
    for path in ("/bucket", "/no-such-bucket", "/2015-03-31/functions", "/bucket/key"):
        assert preflight(path, origin) == (403, None), path
    assert preflight("/", origin) == (404, None)
    assert preflight("/with-a-rule", "http://evil.example") == (403, None)
    assert preflight("/with-a-rule", origin, "PUT") == (403, None)


# --- functions


def test_a_function_has_its_own_identity_and_sees_no_other_credentials(
    aws: EmbeddedAws, client: Client, s3: Any
) -> None:
    made = embedded.make_function(client, "limited")
    seen = embedded.environment_of(client, "limited")
    root = aws.credentials
    assert not {root["AWS_ACCESS_KEY_ID"], root["AWS_SECRET_ACCESS_KEY"]} & set(seen.values())
    environ = Path(f"/proc/{aws_pid(aws)}/environ")
    assert not environ.exists() or root["AWS_SECRET_ACCESS_KEY"] not in environ.read_bytes().decode()
    mine = clients(aws.port() or 0, seen)
    arn = mine("sts").get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::000000000000:assumed-role/limited-role/limited"
    with pytest.raises(ClientError, match="AccessDenied"):
        mine("s3").put_object(Bucket="bucket", Key="mine", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        mine("lambda").invoke(FunctionName="limited")
    for service, call in (("ecs", "list_clusters"), ("cloudwatch", "list_metrics"), ("ec2", "describe_instances")):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(mine(service), call)()
    with pytest.raises(ClientError, match="AccessDenied"):
        mine("apigateway").import_rest_api(body=b'{"info": {"title": "x"}, "paths": {}}')
    embedded.allow(client, "limited-role", "arn:aws:s3:::bucket/*", "s3:PutObject")
    mine("s3").put_object(Bucket="bucket", Key="mine", Body=b"x")
    digest = sha256(f"{made['FunctionArn']}:{made['Role']}".encode()).hexdigest()
    predicted = {
        "AWS_ACCESS_KEY_ID": f"ASIA{digest[:16].upper()}",
        "AWS_SECRET_ACCESS_KEY": sha256(f"secret:{digest}".encode()).hexdigest(),
        "AWS_SESSION_TOKEN": sha256(f"token:{digest}".encode()).hexdigest(),
    }
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        clients(aws.port() or 0, predicted)("s3").put_object(Bucket="bucket", Key="predicted", Body=b"x")


def aws_pid(aws: EmbeddedAws) -> int:
    return int(json.loads((aws.home / "aws.pid").read_text())["pid"])


# --- senders and the log


def test_two_hundred_slow_senders_are_cut_off_and_disturb_no_other_request(aws: EmbeddedAws, s3: Any) -> None:
    def connected(begin: bytes) -> socket.socket:
        connection = socket.create_connection((ports.HOST, aws.port() or 0), timeout=60)
        connection.sendall(begin)
        return connection

    body = f"POST /_aws/execute-api/x/api/y HTTP/1.1\r\nHost: {ports.HOST}\r\nContent-Length: 1000000\r\n\r\n"
    senders = [connected(b"GET / HTTP/1.1\r\nX: ") for _ in range(100)] + [connected(body.encode()) for _ in range(100)]
    try:
        began, open_ones = time.monotonic(), senders
        while open_ones and time.monotonic() - began < 3 * PATIENCE:
            s3.put_object(Bucket="bucket", Key="meanwhile", Body=b"x")
            open_ones = [sender for sender in open_ones if still_accepts(sender)]
        assert not open_ones
        assert time.monotonic() - began > 5, "a sender was cut off at once"
    finally:
        for sender in senders:
            sender.close()


def still_accepts(sender: socket.socket) -> bool:
    """Send one more byte. Return False if the server has closed the connection."""
    sender.settimeout(0.001)
    try:
        sender.sendall(b"x")
        sender.recv(1000)  # returns only if the server has sent an error or closed the connection
    except TimeoutError:
        return True
    except OSError:
        pass
    return False


def test_the_log_is_rotated_while_the_server_runs(aws: EmbeddedAws) -> None:
    log = aws.home / "aws.log"
    with log.open("a") as file:
        file.write("filler\n" * 2_000_000)
    earlier = log.with_name("aws.log.1")  # the server first truncates the log, and then gives the copy this name
    assert embedded.eventually(earlier.exists)
    assert earlier.stat().st_size >= 14_000_000
    assert log.stat().st_size < 1_000_000
    assert send_request(aws, "GET", "/_ministack/ready").status == 200


# --- kill -9


def test_resources_survive_a_kill(tmp_path: Path) -> None:
    server = EmbeddedAws(tmp_path / "aws")
    port = ports.free_port()
    server.start(port)
    try:
        client = embedded.of(server)
        api = client("apigateway").import_rest_api(body=b'{"info": {"title": "x"}, "paths": {}}')["id"]
        arn = embedded.make_function(client, "kept", embedded.FAILING, Environment={"Variables": {"A": "1"}})[
            "FunctionArn"
        ]
        queue = client("sqs").create_queue(QueueName="dead")["QueueUrl"]
        to = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        embedded.allow(client, "kept-role", "*", "sqs:SendMessage")
        client("lambda").put_function_event_invoke_config(
            FunctionName="kept", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": to}}
        )
        client("s3").create_bucket(Bucket="landing")
        client("s3").put_bucket_versioning(Bucket="landing", VersioningConfiguration={"Status": "Enabled"})
        client("lambda").add_permission(
            FunctionName="kept", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        )
        notify = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
        client("s3").put_bucket_notification_configuration(
            Bucket="landing", NotificationConfiguration={"LambdaFunctionConfigurations": [notify]}
        )
        client("events").put_rule(Name="every", ScheduleExpression="rate(3 minutes)")
        client("s3").put_object(Bucket="landing", Key="a", Body=b"1")
        version = client("s3").put_object(Bucket="landing", Key="a", Body=b"2")["VersionId"]
        assert embedded.eventually(lambda: waiting(client, queue) == 2), "ministack itself delivers the dead letters"
        state = server.home / "state"
        # These changes reach the disk a moment later.
        assert embedded.eventually(lambda: (state / "sqs.json").read_text().count("errorMessage") == 2, seconds=5)
        assert embedded.eventually(lambda: "lambda:InvokeFunction" in (state / "lambda.json").read_text(), seconds=5)
        before = server.credentials
        server.kill()
        server.start(port)
        assert server.credentials == before
        assert client("apigateway").get_rest_api(restApiId=api)["name"] == "x"
        found = client("lambda").get_function_configuration(FunctionName="kept")
        assert found["Environment"]["Variables"] == {"A": "1"}
        config = client("lambda").get_function_event_invoke_config(FunctionName="kept")
        assert config["DestinationConfig"]["OnFailure"]["Destination"] == to
        assert client("iam").list_role_policies(RoleName="kept-role")["PolicyNames"] == ["sqs-SendMessage"]
        assert [rule["Name"] for rule in client("events").list_rules()["Rules"]] == ["every"]
        versions = client("s3").list_object_versions(Bucket="landing")["Versions"]
        assert [one["VersionId"] for one in versions if one["IsLatest"]] == [version]
        assert len(versions) == 2
        assert waiting(client, queue) == 2
        # The function has its code, its trigger and its destination again.
        client("s3").put_object(Bucket="landing", Key="b", Body=b"3")
        assert embedded.eventually(lambda: waiting(client, queue) == 3)
    finally:
        server.stop()


def test_deleted_credentials_are_generated_again(tmp_path: Path) -> None:
    """If an operator deletes the file with the credentials, the next start makes new ones. The old credentials stop
    working, and no data are lost."""
    server = EmbeddedAws(tmp_path / "aws")
    port = ports.free_port()
    server.start(port)
    try:
        old = embedded.of(server)("s3")
        old.create_bucket(Bucket="kept")
        assert server.healthy()
        (server.home / "credentials.json").unlink()
        assert not server.healthy()
        server.start(port)
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            old.list_buckets()
        assert [bucket["Name"] for bucket in embedded.of(server)("s3").list_buckets()["Buckets"]] == ["kept"]
    finally:
        server.stop()


def waiting(client: Client, queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    found = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"]
    return int(found[name])
