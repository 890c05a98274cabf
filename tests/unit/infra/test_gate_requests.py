"""Tests which requests the gate accepts without a signature, and which host names it accepts."""

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from infra.local.gate.app import LONGEST_CALL
from tests.asgi import HOST, KEYS, Behind, GateClient, Response, scope, scope_of_signed

API = "/_aws/execute-api/abc123/api"
SIGNER = Credentials(KEYS.access_key, KEYS.secret_key)


def send_unsigned(method: str, target: str, *headers: tuple[str, str]) -> tuple[Response, GateClient]:
    client = GateClient()
    return client.request(scope(method, target, headers)), client


@pytest.mark.parametrize("path", [API, f"{API}/", f"{API}/loads?limit=1", "/restapis/abc123/api/_user_request_/loads"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_the_api_is_served_unsigned(method: str, path: str) -> None:
    response, client = send_unsigned(method, path, ("Authorization", "Bearer abc"), ("X-Amz-Target", "Lambda.Invoke"))
    assert response.status == 200
    [asgi_scope] = client.behind.scopes
    assert (b"authorization", b"Bearer abc") in asgi_scope["headers"]
    assert not [name for name, _ in asgi_scope["headers"] if name.startswith(b"x-amz-")], (
        "these headers are for signed requests only"
    )


def test_only_the_readiness_path_of_all_control_paths_is_served() -> None:
    assert send_unsigned("GET", "/_ministack/ready")[0].status == 200
    for method, path in [
        ("POST", "/_ministack/ready"),
        ("POST", "/_ministack/reset"),
        ("GET", "/_ministack/reset"),
        ("OPTIONS", "/_ministack/reset"),
        ("POST", "/%5Fministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/lambda-code/hireflow-local"),
        ("POST", "/_ministack/rds/iam-auth"),
        ("PUT", "/_ministack/cfn-response/x"),
        ("GET", "/_localstack/health"),
        ("GET", "/_aws/sqs/messages"),
        ("GET", "/_aws/ses"),
        ("GET", "/health"),
    ]:
        response, client = send_unsigned(method, path)
        assert (response.status, client.behind.begun) == (404, 0), path


def test_a_signed_request_for_a_control_path_is_refused_too() -> None:
    request = AWSRequest("POST", f"http://{HOST}/_ministack/reset")
    S3SigV4Auth(SIGNER, "s3", "us-east-1").add_auth(request)
    assert GateClient().request(scope_of_signed(request)).status == 404


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/bucket"),
        ("PUT", "/bucket/key"),
        ("POST", "/bucket"),
        ("POST", "/"),
        ("GET", "/latest/meta-data/iam/security-credentials/"),
        ("POST", "/2015-03-31/functions"),
        ("POST", "/2015-03-31/functions/hireflow-local-tokens/invocations"),
        ("GET", "/oauth2/authorize"),
        ("GET", "//_ministack/reset"),
        ("GET", "/_aws/execute-api"),
        ("GET", "/restapis/abc123/api/x/_user_request_/loads"),
        ("GET", "/restapis"),
        ("GET", "/x/_aws/execute-api/abc123/api/loads"),
    ],
)
def test_an_unsigned_request_for_another_path_is_refused(method: str, target: str) -> None:
    for headers in ((), (("Authorization", "Bearer x"),), (("Authorization", "Basic dGVzdDp0ZXN0"),)):
        response, client = send_unsigned(method, target, *headers)
        assert response.status in (400, 403, 404)
        assert client.behind.begun == 0


CONFIRMATION = "/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:000000000000:notices&Token=b9a59a8e"


def test_a_webhook_confirms_its_subscription_without_a_signature() -> None:
    response, client = send_unsigned("GET", CONFIRMATION, ("X-Amz-Target", "Lambda.Invoke"))
    assert response.status == 200
    [asgi_scope] = client.behind.scopes
    assert not [name for name, _ in asgi_scope["headers"] if name.startswith(b"x-amz-")]


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("POST", CONFIRMATION, ()),
        ("GET", CONFIRMATION, (("Content-Length", "4"),)),
        ("GET", CONFIRMATION, (("Authorization", "Bearer x"),)),
        ("GET", f"{CONFIRMATION}&Action=ListTopics", ()),
        ("GET", f"{CONFIRMATION}&Version=2010-03-31", ()),
        ("GET", CONFIRMATION.replace("ConfirmSubscription", "DeleteTopic"), ()),
        ("GET", CONFIRMATION.replace("/?", "/bucket?"), ()),
    ],
)
def test_nothing_but_a_confirmation_is_served_under_its_url(
    method: str, target: str, headers: tuple[tuple[str, str], ...]
) -> None:
    response, client = send_unsigned(method, target, *headers)
    assert response.status in (400, 403)
    assert client.behind.begun == 0


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30))
def test_no_unsigned_request_for_a_random_path_is_served(path: str) -> None:
    if path.startswith(("_aws/execute-api/", "restapis/")) or path == "_ministack/ready":
        return
    _, client = send_unsigned("GET", f"/{path}")
    assert client.behind.begun == 0


# --- host names


@pytest.mark.parametrize("host", ["127.0.0.1:24000", "localhost:24000", "LOCALHOST:1", "localhost", "127.0.0.1"])
def test_requests_under_host_names_of_this_machine_are_served(host: str) -> None:
    assert send_unsigned("GET", f"{API}/loads", ("Host", host))[0].status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:24000",
        "127.0.0.1.evil.example",
        "localhost.evil.example:24000",
        "abc123.execute-api.localhost:24000",
        "bucket.s3.localhost:24000",
        "x.lambda-url.us-east-1.localhost",
        "[::1]:24000",
        "0.0.0.0:24000",
        "127.0.0.1:24000@evil.example",
        "127.0.0.1:24000,evil.example",
        "",
        "2130706433",
    ],
)
def test_requests_under_other_host_names_are_refused(host: str) -> None:
    response, client = send_unsigned("GET", f"{API}/loads", ("Host", host))
    assert (response.status, client.behind.begun) == (421, 0)


def test_websockets_are_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    client = GateClient()
    asyncio.run(client.gate()({"type": "websocket", "path": f"{API}/x", "headers": []}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert client.behind.begun == 0


# --- CORS

OURS = "http://127.0.0.1:24000"


def preflight(path: str, headers_behind: list[tuple[bytes, bytes]], origin: str = OURS) -> Response:
    client = GateClient(Behind(headers_behind))
    headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")]
    return client.request(scope("OPTIONS", path, headers))


def test_a_preflight_is_allowed_only_by_the_rule_of_a_bucket() -> None:
    rule = [(b"Access-Control-Allow-Origin", OURS.encode()), (b"Access-Control-Allow-Methods", b"POST")]
    admitted = preflight("/hireflow-local-landing", rule)
    assert (admitted.status, admitted.headers["access-control-allow-origin"]) == (200, OURS)
    for path, headers in (
        ("/hireflow-local-landing", [(b"Access-Control-Allow-Origin", b"*")]),
        ("/hireflow-local-landing", []),
        ("/hireflow-local-landing", [(b"Access-Control-Allow-Origin", b"http://other")]),
    ):
        refused = preflight(path, headers)
        assert refused.status == 403
        assert not [name for name in refused.headers if name.startswith("access-control")]
    for path in ("/", "/_ministack/reset", "/UPPER/", "/x?Action=y"):
        assert (preflight(path, rule).status, "access-control-allow-origin" in preflight(path, rule).headers) == (
            404,
            False,
        )


def test_no_response_allows_every_origin() -> None:
    request = AWSRequest("GET", f"http://{HOST}/2015-03-31/functions", {"Origin": "http://evil.example"})
    S3SigV4Auth(SIGNER, "lambda", "us-east-1").add_auth(request)
    response = GateClient(Behind([(b"Access-Control-Allow-Origin", b"*"), (b"X-Kept", b"1")])).request(
        scope_of_signed(request)
    )
    assert response.status == 200
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["x-kept"] == "1"


def test_the_cors_headers_of_the_api_stay() -> None:
    client = GateClient(Behind([(b"Access-Control-Allow-Origin", b"*")]))
    response = client.request(scope("OPTIONS", f"{API}/loads", [("Origin", "http://a")]))
    assert response.headers["access-control-allow-origin"] == "*"


# --- forms


def form(
    seconds: int = 3600,
    credentials: Credentials = SIGNER,
    bucket: Any = MappingProxyType({"bucket": "bucket"}),
    size: Any = ("content-length-range", 1, 1000),
) -> dict[str, str]:
    request = AWSRequest("POST", f"http://{HOST}/bucket")
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    condition = dict(bucket) if isinstance(bucket, Mapping) else bucket
    policy = {"expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": [{"key": "k"}, condition, list(size)]}
    request.context["s3-presign-post-policy"] = policy
    request.context["s3-presign-post-fields"] = {"key": "k"}
    S3SigV4PostAuth(credentials, "s3", "us-east-1").add_auth(request)
    return dict(request.context["s3-presign-post-fields"])


def send(
    fields: dict[str, str], *, file: bool = True, size: int = 1000, boundary: str = "xYz", **more: str
) -> GateClient:
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    if file:
        parts.append('Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n1,Sales\n')
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts).encode() + f"--{boundary}--\r\n".encode()
    client = GateClient()
    kind = more.get("kind", f"multipart/form-data; boundary={boundary}")
    asgi_scope = scope("POST", more.get("path", "/bucket"), [("Content-Type", kind)], length=len(body))
    response = client.request(asgi_scope, [body[start : start + size] for start in range(0, len(body), size)])
    assert (response.status == 200) == bool(client.behind.done)
    return client


SESSION = KEYS.session("arn:aws:lambda:us-east-1:000000000000:function:f", "arn:aws:iam::0:role/r")


@pytest.mark.parametrize("size", [1, 10, 100_000])
@pytest.mark.parametrize(
    "signer", [SIGNER, Credentials(SESSION.access_key, SESSION.secret_key, SESSION.token)], ids=["stage", "function"]
)
def test_a_signed_form_is_accepted(size: int, signer: Credentials) -> None:
    client = send(form(credentials=signer), size=size)
    [(_, _, body)] = client.behind.done
    assert body.endswith(b"1,Sales\n\r\n--xYz--\r\n")


def forged() -> str:
    policy = {"expiration": "2999-01-01T00:00:00Z", "conditions": []}
    return base64.b64encode(json.dumps(policy).encode()).decode()


@pytest.mark.parametrize(
    "changed",
    [
        {"policy": forged()},
        {"policy": ""},
        {"x-amz-signature": "0" * 64},
        {"x-amz-signature": "é"},
        {"x-amz-signature": ""},
        {"x-amz-credential": "test/20260101/us-east-1/s3/aws4_request"},
        {"x-amz-credential": "x"},
        {"x-amz-date": "20200101T000000Z"},
        {"x-amz-date": ""},
        {"x-amz-algorithm": "AWS4-ECDSA-P256-SHA256"},
    ],
)
def test_a_changed_form_is_refused(changed: dict[str, str]) -> None:
    assert send({**form(), **changed}).behind.done == []


def test_a_form_without_any_signature_is_refused() -> None:
    assert send({"key": "k"}).behind.done == []
    assert send({"key": "k", "policy": forged(), "AWSAccessKeyId": "test", "signature": "x"}).behind.done == []


def test_boto3s_default_form_is_refused_with_a_remedy() -> None:
    """If the client does not set signature_version, boto3 signs links and forms with the outdated Signature Version
    2."""
    body = b'--x\r\nContent-Disposition: form-data; name="AWSAccessKeyId"\r\n\r\nA\r\n'
    body += b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n1,Sales\r\n--x--\r\n'
    kind = [("Content-Type", "multipart/form-data; boundary=x")]
    response = GateClient().request(scope("POST", "/bucket", kind, length=len(body)), [body])
    assert response.status == 400
    assert b"signature_version='s3v4'" in response.body


def test_a_form_signed_with_an_unknown_key_is_refused() -> None:
    assert send(form(credentials=Credentials("test", "test"))).behind.done == []


def test_a_form_expires_with_its_policy() -> None:
    assert send(form(seconds=-1)).behind.done == []


def test_a_form_with_a_repeated_field_is_refused() -> None:
    """If a field comes twice, the gate might check one value, and ministack might use the other."""
    fields = form()
    assert send({**fields, "KEY": "other"}).behind.done == []


def test_a_form_without_a_file_or_with_too_long_fields_is_refused() -> None:
    assert send(form(), file=False).behind.done == []
    assert send({"filler": "x" * 70_000, **form()}).behind.done == []


def test_a_file_much_longer_than_its_policy_allows_is_refused_before_its_end() -> None:
    """ministack checks the length only after it has read the whole file into memory."""
    kind, most = "multipart/form-data; boundary=xYz", 100_000
    fields = form(bucket={"bucket": "bucket"}, size=["content-length-range", 1, most])
    head = "".join(f'--xYz\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
    head += '--xYz\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    for size, status in ((most, 200), (3 * most, 400)):
        client = GateClient()
        asgi_scope = scope("POST", "/bucket", [("Content-Type", kind)], length=1_000_000)
        body = [head.encode(), *[b"x" * 10_000] * (size // 10_000), b"\r\n--xYz--\r\n"]
        assert client.request(asgi_scope, body).status == status
        assert bool(client.behind.done) == (status == 200)


@pytest.mark.parametrize("kind", ["application/json", "text/csv", "text/plain"])
def test_an_api_request_with_a_body_too_large_for_api_gateway_is_refused(kind: str) -> None:
    """The API needs no signature, so anyone may send a body, even a web page of another origin. ministack holds several
    copies of a body in memory."""
    asgi_scope = scope("POST", f"{API}/uploads/check", [("Content-Type", kind)], length=LONGEST_CALL)
    pieces = [b"x" * 1_048_576] * 10
    client = GateClient()
    assert client.request(asgi_scope, pieces).status == 200
    response = client.request(asgi_scope, [*pieces, b"x"])
    assert (response.status, json.loads(response.body)) == (413, {"message": "Request Too Long"})
    assert len(client.behind.done) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=other",
        "multipart/form-data; boundary=xYz; boundary=other",
        'multipart/form-data; x="boundary=other"; boundary=xYz',
        "multipart/mixed; boundary=xYz",
    ],
)
def test_the_boundary_must_be_given_once(kind: str) -> None:
    assert send(form(), kind=kind).behind.done == []


@pytest.mark.parametrize("path", ["/", "/_ministack/reset", "/Functions", "/other", "/bucket/key", "/bucket?delete"])
def test_a_form_may_go_only_to_the_bucket_that_its_policy_names(path: str) -> None:
    """Requests to other services may have a query, or a path that looks like the path of a bucket. A form must not
    reach these services, because some of them accept unsigned requests."""
    assert send(form(), path=path).behind.done == []


@pytest.mark.parametrize(
    ("condition", "admitted"),
    [
        ({"bucket": "bucket"}, True),
        (["eq", "$bucket", "bucket"], True),
        (["starts-with", "$bucket", "buck"], True),
        ({"bucket": "other"}, False),
        (["eq", "$key", "bucket"], False),
        (["starts-with", "$bucket", "o"], False),
        (["starts-with", "$bucket", 1], False),
        ({}, False),
        ("bucket", False),
    ],
)
def test_a_policy_may_name_a_bucket_in_several_ways(condition: Any, admitted: bool) -> None:
    assert bool(send(form(bucket=condition)).behind.done) == admitted


# --- changes that must be saved


@pytest.mark.parametrize(
    ("method", "path", "service", "reported"),
    [
        ("POST", "/", "sqs", True),
        ("PUT", "/bucket", "s3", True),
        ("PUT", "/bucket/key", "s3", False),
        ("GET", "/bucket", "s3", False),
        ("POST", "/2015-03-31/functions", "lambda", True),
        ("POST", "/2015-03-31/functions/f/invocations", "lambda", False),
        ("POST", "/restapis", "apigateway", True),
    ],
)
def test_changes_of_a_service_are_reported(method: str, path: str, service: str, reported: bool) -> None:
    request = AWSRequest(method, f"http://{HOST}{path}")
    S3SigV4Auth(SIGNER, service, "us-east-1").add_auth(request)
    client = GateClient()
    assert client.request(scope_of_signed(request)).status == 200
    assert client.written == ([service] if reported else [])
