"""Tests that the gate accepts every request that botocore signs, and refuses a request that was changed after the
signing."""

import base64
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import HOST, KEYS, GateClient, scope, scope_of_signed

CREDENTIALS = Credentials(KEYS.access_key, KEYS.secret_key)
SESSION = KEYS.session("arn:aws:lambda:us-east-1:000000000000:function:hireflow-local", "arn:aws:iam::0:role/api")
OF_FUNCTION = Credentials(SESSION.access_key, SESSION.secret_key, SESSION.token)

characters = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])
segments = st.text(characters, min_size=1, max_size=12).filter(lambda text: text not in (".", ".."))
values = st.text(characters, max_size=12)
queries = st.lists(st.tuples(st.sampled_from("abcXY") | segments, values), max_size=4)
header_values = st.text("abc XYZ,;=/é", max_size=12)
methods = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"])


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """Return a strategy for pairs (service, unsigned request)."""
    service = draw(st.sampled_from(["s3", "lambda", "sqs"]))
    path = "/" + "/".join(quote(part, safe="~") for part in draw(st.lists(segments, min_size=1, max_size=4)))
    if path.startswith(("/_ministack", "/_localstack", "/_aws", "/health")):
        path = "/b" + path
    query = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in draw(queries))
    headers = {"X-Amz-Meta-A": draw(header_values), "Content-Type": "text/csv"} if draw(st.booleans()) else {}
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    body = draw(st.binary(max_size=40))
    return service, AWSRequest(draw(methods), url, headers, body)


def signed(service: str, request: Any, credentials: Credentials = CREDENTIALS) -> dict[str, Any]:
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(credentials, service, "us-east-1").add_auth(request)
    return scope_of_signed(request, len(request.data or b""))


@given(requests(), st.sampled_from([CREDENTIALS, OF_FUNCTION]))
def test_a_request_that_botocore_signed_is_accepted(case: tuple[str, Any], credentials: Credentials) -> None:
    service, request = case
    client = GateClient()
    asgi_scope = signed(service, request, credentials)
    assert client.request(asgi_scope, [request.data]).status == 200
    assert client.behind.done == [(request.method, asgi_scope["path"], request.data)]
    assert [session.function for session in client.admitted] == ([SESSION.function] if credentials.token else [])


@given(requests(), st.data())
def test_a_changed_request_is_refused(case: tuple[str, Any], data: st.DataObject) -> None:
    service, request = case
    asgi_scope, body = signed(service, request), request.data
    change = data.draw(
        st.sampled_from(["method", "path", "query", "header", "body", "date", "key", "signature", "more"])
    )
    changed = deepcopy(asgi_scope)
    if change == "method":
        changed["method"] = "PATCH"
    elif change == "path":
        changed["raw_path"] = asgi_scope["raw_path"] + b"x"
        changed["path"] += "x"
    elif change == "query":
        changed["query_string"] = asgi_scope["query_string"] + b"&z=1"
    elif change == "header":
        index = data.draw(
            st.sampled_from([i for i, (n, _) in enumerate(asgi_scope["headers"]) if n in signed_names(asgi_scope)])
        )
        name, value = asgi_scope["headers"][index]
        changed["headers"][index] = (name, b"localhost:1" if name == b"host" else value + b"x")
    elif change == "body":
        body = body + b"x"
    elif change == "date":
        changed["headers"] = [(n, b"20200101T000000Z" if n == b"x-amz-date" else v) for n, v in asgi_scope["headers"]]
    elif change == "key":
        changed["headers"] = [(n, v.replace(KEYS.access_key.encode(), b"test")) for n, v in asgi_scope["headers"]]
    elif change == "signature":
        changed["headers"] = [(n, v[:-1] + (b"0" if v[-1:] != b"0" else b"1") if n == b"authorization" else v)
                              for n, v in asgi_scope["headers"]]  # fmt: skip
    else:
        changed["headers"].append((b"x-amz-acl", b"public-read"))
    client = GateClient()
    assert client.request(changed, [body]).status in (400, 403), change
    assert client.behind.done == []


def signed_names(asgi_scope: dict[str, Any]) -> set[bytes]:
    authorization = dict(asgi_scope["headers"])[b"authorization"].decode()
    names = authorization.partition("SignedHeaders=")[2].partition(",")[0]
    return {name.encode() for name in names.split(";")}


# --- links


def link(method: str = "GET", seconds: int = 60, path: str = "/bucket/a%20b") -> dict[str, Any]:
    request = AWSRequest(method, f"http://{HOST}{path}")
    S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=seconds).add_auth(request)
    return scope_of_signed(request)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_link_is_valid_only_for_its_time_and_method(method: str) -> None:
    asgi_scope, now = link(method), datetime.now(UTC)
    assert GateClient().request(asgi_scope, [b"any body"]).status == 200
    assert GateClient(now=now + timedelta(seconds=55)).request(asgi_scope).status == 200
    assert GateClient(now=now + timedelta(seconds=62)).request(asgi_scope).status == 403
    assert GateClient(now=now - timedelta(minutes=14)).request(asgi_scope).status == 200
    assert GateClient(now=now - timedelta(minutes=16)).request(asgi_scope).status == 403
    assert GateClient().request({**asgi_scope, "method": "POST"}).status == 403


def test_a_link_for_more_than_a_week_is_refused() -> None:
    assert GateClient().request(link(seconds=7 * 24 * 3600)).status == 200
    assert GateClient().request(link(seconds=7 * 24 * 3600 + 1)).status == 400


@pytest.mark.parametrize(
    "changed",
    [
        ("X-Amz-Expires=60", "X-Amz-Expires=61"),
        ("X-Amz-Expires=60", "X-Amz-Expires=0"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=60", "x-amz-expires=60"),
        ("X-Amz-Expires=60&", ""),
        (KEYS.access_key, "test"),
        ("%2Fs3%2F", "%2Fsqs%2F"),
        ("&X-Amz-Signature=", "&x-amz-credential=test%2F1%2F2%2Fs3%2Faws4_request&X-Amz-Signature="),
        ("&X-Amz-Signature=", "&X-Amz-Credential=test&X-Amz-Signature="),
        ("&X-Amz-Signature=", "&response-content-type=text%2Fhtml&X-Amz-Signature="),
        ("&X-Amz-Signature=", "&X-Amz-Signature=%C3%A9"),
    ],
)
def test_a_changed_link_is_refused(changed: tuple[str, str]) -> None:
    asgi_scope = link()
    query = asgi_scope["query_string"].decode()
    assert changed[0] in query
    asgi_scope["query_string"] = query.replace(*changed).encode()
    client = GateClient()
    assert client.request(asgi_scope).status in (400, 403)
    assert client.behind.begun == 0


@pytest.mark.parametrize("time", ["00010101T000000Z", "99991231T235959Z"])
def test_a_link_from_the_first_or_last_possible_second_is_refused(time: str) -> None:
    asgi_scope = link()
    query = re.sub(r"\d{8}T\d{6}Z", time, asgi_scope["query_string"].decode())
    asgi_scope["query_string"] = re.sub(r"\d{8}(?=%2F)", time[:8], query).encode()
    assert asgi_scope["query_string"].decode().count(time[:8]) == 2
    assert GateClient().request(asgi_scope).status == 403


def test_a_link_with_an_unsigned_amazon_header_is_refused() -> None:
    asgi_scope = link("PUT")
    asgi_scope["headers"].append((b"x-amz-target", b"AWSLambda.Invoke"))
    assert GateClient().request(asgi_scope).status == 403


# --- times, keys, and other rules


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_signature_whose_time_is_too_far_from_now_is_refused(minutes: int) -> None:
    asgi_scope = signed("s3", AWSRequest("GET", f"http://{HOST}/bucket"))
    assert GateClient(now=datetime.now(UTC) + timedelta(minutes=minutes)).request(asgi_scope).status == 403
    assert GateClient(now=datetime.now(UTC) + timedelta(minutes=minutes * 0.9)).request(asgi_scope).status == 200


@pytest.mark.parametrize("key", ["test", "000000000000", "", "AKIAIOSFODNN7EXAMPLE"])
def test_ministacks_root_keys_are_refused(key: str) -> None:
    request = AWSRequest("GET", f"http://{HOST}/bucket")
    S3SigV4Auth(Credentials(key, "test"), "s3", "us-east-1").add_auth(request)
    client = GateClient()
    assert client.request(scope_of_signed(request)).status in (400, 403)
    assert client.behind.begun == 0


def test_two_credentials_in_one_header_are_refused() -> None:
    """The gate must not check one of the credentials while ministack uses the other. ministack would use the first
    one."""
    asgi_scope = signed("s3", AWSRequest("GET", f"http://{HOST}/bucket"), OF_FUNCTION)
    first = b"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, Credential="
    asgi_scope["headers"] = [(n, v.replace(b"AWS4-HMAC-SHA256 Credential=", first)) for n, v in asgi_scope["headers"]]
    client = GateClient()
    assert client.request(asgi_scope).status == 400
    assert client.behind.begun == 0


@pytest.mark.parametrize(
    "name", ["authorization", "x-amz-date", "x-amz-content-sha256", "host", "x-amz-security-token"]
)
def test_a_header_that_must_be_unique_may_not_be_given_twice(name: str) -> None:
    asgi_scope = signed("s3", AWSRequest("GET", f"http://{HOST}/bucket"), OF_FUNCTION)
    asgi_scope["headers"].append((name.encode(), dict(asgi_scope["headers"])[name.encode()]))
    assert GateClient().request(asgi_scope).status == 400


def test_a_request_that_is_signed_in_header_and_query_is_refused() -> None:
    asgi_scope = signed("s3", AWSRequest("GET", f"http://{HOST}/bucket"))
    asgi_scope["query_string"] = link()["query_string"]
    assert GateClient().request(asgi_scope).status == 400


@pytest.mark.parametrize("kind", [HmacV1Auth, HmacV1QueryAuth])
def test_signatures_of_version_2_are_refused(kind: Any) -> None:
    request = AWSRequest("GET", f"http://{HOST}/bucket/key")
    request.auth_path = "/bucket/key"
    kind(CREDENTIALS).add_auth(request)
    response = GateClient().request(scope_of_signed(request))
    assert response.status == 400
    assert b"sign with Version 4" in response.body


def test_the_host_must_be_signed() -> None:
    asgi_scope = signed("s3", AWSRequest("GET", f"http://{HOST}/bucket"))
    asgi_scope["headers"] = [
        (n, v.replace(b"SignedHeaders=host;", b"SignedHeaders=")) for n, v in asgi_scope["headers"]
    ]
    assert GateClient().request(asgi_scope).status == 403


@pytest.mark.parametrize("path", ["/bucket/a#b", "http://elsewhere/bucket", "/a\tb", "*", "/é"])
def test_ambiguous_paths_are_refused(path: str) -> None:
    asgi_scope = signed("s3", AWSRequest("GET", f"http://{HOST}/bucket/a"))
    asgi_scope["raw_path"] = path.encode()
    assert GateClient().request(asgi_scope).status == 400


def test_a_path_with_dots_is_refused_except_for_s3() -> None:
    asgi_scope = signed("lambda", AWSRequest("GET", f"http://{HOST}/2015-03-31/functions"))
    asgi_scope["raw_path"] = b"/x/../2015-03-31/functions"
    assert GateClient().request(asgi_scope).status == 400


# --- functions


def test_a_functions_credentials_cannot_be_derived_from_its_name() -> None:
    """Without the gate, ministack would derive the credentials of a function from its ARN and its role. Others may know
    both."""
    digest = sha256(f"{SESSION.function}:{SESSION.role}".encode()).hexdigest()
    assert SESSION.access_key != f"ASIA{digest[:16].upper()}"
    predicted = Credentials(
        f"ASIA{digest[:16].upper()}",
        sha256(f"secret:{digest}".encode()).hexdigest(),
        sha256(f"token:{digest}".encode()).hexdigest(),
    )
    assert GateClient().request(signed("s3", AWSRequest("GET", f"http://{HOST}/b12"), predicted)).status == 403


def test_a_function_with_a_changed_token_is_refused() -> None:
    request = AWSRequest("GET", f"http://{HOST}/bucket")
    nested = base64.urlsafe_b64encode(b"[" * 20_000).decode()
    for token in ("", "x", SESSION.token[:-1] + "!", SESSION.token.upper(), "é" + SESSION.token, nested):
        forged = Credentials(SESSION.access_key, SESSION.secret_key, token)
        assert GateClient().request(signed("s3", deepcopy(request), forged)).status == 403, token


@given(segments, segments)
def test_every_function_and_role_has_its_own_credentials(name: str, role: str) -> None:
    mine = KEYS.session(f"arn:aws:lambda:us-east-1:000000000000:function:{name}", role)
    assert KEYS.session_of(mine.access_key, mine.token) == mine
    assert mine.access_key != SESSION.access_key
    assert KEYS.session_of(SESSION.access_key, mine.token) is None


# --- an example from AWS, independent of botocore


def test_the_example_in_amazons_documentation_is_accepted() -> None:
    """The example is "GET Object" in https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    from infra.local.gate import signatures
    from infra.local.gate.signatures import Head

    empty = sha256(b"").hexdigest()
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    names = "host;range;x-amz-content-sha256;x-amz-date"
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={names},Signature={signature}"
    )
    headers = [
        ("Host", "examplebucket.s3.amazonaws.com"),
        ("Range", "bytes=0-9"),
        ("x-amz-content-sha256", empty),
        ("x-amz-date", "20130524T000000Z"),
        ("Authorization", authorization),
    ]
    head = Head.of(scope("GET", "/test.txt", headers))
    claim = signatures.claimed(head)
    assert claim is not None
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert signatures.matches(head, claim, secret, empty)
    assert not signatures.matches(head, claim, secret + "x", empty)
