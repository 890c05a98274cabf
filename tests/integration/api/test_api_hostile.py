"""Tests how the API responds to hostile and malformed requests, through a model of API Gateway. Every request gets a
clear response. The text of a request never runs as SQL, and adds no headers or log lines."""

import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client, TestResponse

from app import app
from chalicelib.api.http.requests import BINARY, MAX_BODY
from chalicelib.api.openapi.operations import operations
from chalicelib.cloud.database import Database
from chalicelib.core.browser_headers import HEADERS
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.services import services
from tests import gateway as model
from tests.gateway import Gateway
from tests.integration.http_api import Api
from tests.openapi import described

SQL = ["' OR '1'='1", "1; DROP TABLE jobs --", "$$; SELECT 1", ":id", "%s", "\\'; --", '"quoted"', "1) UNION SELECT 1"]
BREAKS = [
    "\r\nX-Evil: 1",
    "\nSet-Cookie: a=b",
    "\r",
    "\x00",
    "\x1b[31m",
    "\u2028",
    "٢٠٢١",
    "²",
    "½",
    "\ud7ff",
    "%00",
    "..%2f",
]
SEARCHED = {("/loads", "source")}  # any text may be searched there
DOCUMENTED = {"content-type", "content-length", "retry-after", "x-amzn-remapped-www-authenticate", "x-correlation-id"}
DOCUMENTED |= set(map(str.lower, HEADERS))
PARAMETERS = [
    (method.upper(), path, p["name"])
    for path, item in described().document["paths"].items()
    for method, operation in item.items()
    for p in operation.get("parameters", ())
    if p["in"] != "header"
]


@pytest.fixture
def gateway(api: Api) -> Client:
    return Client(Gateway(app))


def checked(method: str, path: str, response: TestResponse) -> Any:
    """Return the body of a response. First check that the OpenAPI document declares the response and all its
    headers."""
    assert {name.lower() for name, _ in response.headers} <= DOCUMENTED
    assert not any(c in value for value in response.headers.values() for c in "\r\n\0")
    body = json.loads(response.data)
    described().check(method, path, response.status_code, dict(response.headers), body)
    assert response.status_code < 500
    return body


def get(client: Client, path: str) -> Any:
    return checked("GET", path, client.get(path))


@pytest.mark.parametrize("decodes", [False, True])
@pytest.mark.parametrize(("method", "path", "name"), PARAMETERS)
def test_hostile_text_in_a_parameter_is_refused_or_found_nowhere(
    api: Api, method: str, path: str, name: str, decodes: bool
) -> None:
    gateway = Client(Gateway(app, decodes=decodes))
    for text in [*SQL, *BREAKS]:
        for written in (quote(text, safe=""), quote(quote(text, safe=""), safe="")):
            if f"{{{name}}}" in path:
                asked = path.replace(f"{{{name}}}", written)
            else:
                asked = f"{path.replace('{year}', '2021').replace('{load_id}', '1')}?{name}={written}"
            if "/" not in text and ".." not in text:
                body = checked(method, asked, gateway.open(asked, method=method, content_type="text/csv"))
                if (path, name) in SEARCHED:
                    assert body == {"loads": [], "next_cursor": None}, asked
                else:
                    assert body["status"] in (404, 422), asked


@pytest.mark.parametrize("dataset", [d for d in DATASETS.values() if not d.references], ids=lambda d: d.name)
def test_text_is_stored_as_it_was_sent(gateway: Client, database: Database, dataset: Any) -> None:
    [text] = [column.name for column in dataset.values if column.kind is Kind.TEXT]
    sent = [*SQL, "\\", "\\N", "a\tb", "a\r\nX-Evil: 1", "<script>alert(1)</script>", "{}", "NULL", "\ufffd\U0001f600"]
    path = f"/{dataset.route}/upload/batch"
    rows = [{"id": i, text: value} for i, value in enumerate(sent, 1)]
    assert checked("POST", path, gateway.post(path, json={"data": rows}))["inserted"] == len(sent)
    for i, value in enumerate(sent, 1):
        single = f"/{dataset.route}/upload"
        response = checked("POST", single, gateway.post(single, json={"id": i, text: value}))
        assert response["outcome"] == "unchanged", value
    with database.session() as session:
        assert [row[0] for row in session.run(f"SELECT {text} FROM {dataset.table} ORDER BY id")] == sent


@pytest.mark.parametrize("name", [column.name for column in DATASETS["hired_employees"].columns])
def test_sql_in_a_field_is_refused_as_an_invalid_value(gateway: Client, database: Database, name: str) -> None:
    path = "/hired_employee/upload"
    for text in SQL:
        row = {c.name: c.example for c in DATASETS["hired_employees"].columns} | {name: text, f"{name}; {text}": 1}
        response = checked("POST", path, gateway.post(path, json=row))
        assert any(
            text in error["reason"] or repr(f"{name}; {text}") in error["reason"] for error in response["errors"]
        )
    with database.session() as session:
        assert session.run("SELECT count(*) FROM hired_employees") == [[0]]


@pytest.mark.parametrize(
    ("method", "path"),
    [(o.method, o.path) for o in operations() if not o.any_query],
    ids=lambda value: value.strip("/").replace("/", "-"),
)
def test_a_query_parameter_that_is_unknown_or_repeated_is_refused(gateway: Client, method: str, path: str) -> None:
    path = path.replace("{year}", "2021").replace("{load_id}", "1").replace("{panel}", "loads")
    path = path.replace("{asset}", "docs.js")
    for query in ("dataset[]=jobs", "Limit=1", "=", "=x", "limit%00=1", "limit =1", quote("lïmit") + "=1", "x" * 900):
        response = checked(method, path, gateway.open(f"{path}?{query}", method=method))
        assert (response["status"], response["detail"][:20]) == (422, "the query parameter "), query
        assert len(response["detail"]) < 300
    for query in ("limit=1&limit=1", "limit=x&limit=1", "limit=&limit", "cursor=1&cursor=2"):
        assert checked(method, path, gateway.open(f"{path}?{query}", method=method))["status"] == 422, query


def test_the_error_for_an_unknown_query_parameter_names_the_known_ones(gateway: Client) -> None:
    known = "dataset, status, kind, source, with_rejects, limit, cursor"
    assert (
        get(gateway, "/loads?Limit=1")["detail"] == f"the query parameter 'Limit' is unknown: this path takes {known}"
    )
    assert get(gateway, "/loads?limit=1&limit=2")["detail"] == "the query parameter limit must be given once"
    assert get(gateway, "/health?x=1")["detail"] == "the query parameter 'x' is unknown: this path takes none"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_an_html_page_ignores_its_query(gateway: Client, path: str) -> None:
    assert gateway.get(f"{path}?utm_source=mail&x=1&x=2").status_code == 200


TWICE = [
    (b'{"id": "x", "job": "a", "id": 7}', "'id'"),
    (b'{"job": "a", "job": "a"}', "'job'"),
    (b'{"job": "a", "j\\u006fb": "b"}', "'job'"),
    (b'{"data": [{"job": "a"}], "data": [{"job": "b"}]}', "'data'"),
    (b'{"data": [{"job": "a"}, {"job": {"a": [{"b": 1, "": 2, "b": 3}]}}]}', "'b'"),
    (b'{"restore_point": null, "restore_point": null}', "'restore_point'"),
    (b'{"": 1, "": 2}', "''"),
    (b'{"' + b"x" * 99 + b'": 1, "' + b"x" * 99 + b'": 2}', "'" + "x" * 60 + "'"),
]
BODIES = ["/job/upload", "/job/upload/batch", "/uploads", "/jobs/backup/restore"]


@pytest.mark.parametrize(("body", "name"), TWICE)
@pytest.mark.parametrize("path", BODIES)
def test_a_json_member_that_is_given_twice_is_refused(gateway: Client, path: str, body: bytes, name: str) -> None:
    response = checked("POST", path, gateway.post(path, data=body, content_type="application/json"))
    assert (response["status"], response["detail"]) == (400, f"the body is not JSON: the member {name} is given twice")


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
@pytest.mark.parametrize(
    "body",
    [
        '{"job": "Café"}'.encode("latin-1"),
        '{"job": "Café"}'.encode()[:-3] + b'"}',
        b'{"job": "\xed\xa0\x80"}',
        b'{"job": "\xc0\xaf"}',
        *('{"job": "Café"}'.encode(coding) for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be")),
    ],
)
@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_not_utf_8_is_refused(gateway: Client, path: str, body: bytes, media_type: str) -> None:
    response = checked("POST", path, gateway.post(path, data=body, content_type=media_type))
    assert response["status"] == 400
    assert response["detail"].startswith("the body is not UTF-8")


def test_a_replacement_character_that_was_sent_is_stored(gateway: Client) -> None:
    for row_id, body in enumerate((b'"\\ufffd"', "\ufffd".join('""').encode(), b'"\xef\xbf\xbd"'), 1):
        sent = b'{"id": %d, "job": %s}' % (row_id, body)
        response = checked(
            "POST", "/job/upload", gateway.post("/job/upload", data=sent, content_type="application/json")
        )
        assert response["outcome"] == "inserted"
    with services().database.session() as session:
        assert session.run("SELECT job FROM jobs") == [["\ufffd"]] * 3


def test_a_body_that_a_gateway_decoded_as_text_is_refused_if_bytes_were_replaced(api: Api) -> None:
    """The list of binary types may lack JSON in another emulator of AWS, and in an API that the previous release
    deployed."""
    app.api.binary_types.remove(BINARY)
    try:
        text = Client(Gateway(app))
        for sent, status in (
            (b'{"job": "Caf\xe9"}', 400),
            (b'{"job": "Caf\\ufffd"}', 201),
            ("é".join(('{"job": "', '"}')).encode(), 201),
        ):
            response = text.post("/job/upload", data=sent, content_type="application/json")
            checked("POST", "/job/upload", response)
            assert response.status_code == status
    finally:
        app.api.binary_types.append(BINARY)


def test_a_body_may_begin_with_a_byte_order_mark(gateway: Client) -> None:
    response = gateway.post("/job/upload", data=b'\xef\xbb\xbf{"job": "a"}', content_type="application/json")
    assert checked("POST", "/job/upload", response)["outcome"] == "inserted"


@pytest.mark.parametrize("charset", ["iso-8859-1", '"latin1"', "utf-16", "", "UTF-8x"])
def test_another_charset_is_refused(gateway: Client, charset: str) -> None:
    for path, media_type, data in (
        ("/job/upload", "application/json", b"{}"),
        ("/uploads/check?dataset=jobs", "text/csv", b""),
    ):
        response = gateway.post(path, data=data, content_type=f"{media_type}; charset={charset}")
        assert checked("POST", path, response)["status"] == 415
    for fine in ("utf-8", "UTF-8", '"utf-8"', "utf8"):
        response = gateway.post("/job/upload", data=b'{"job": "a"}', content_type=f"application/json;charset={fine}")
        assert checked("POST", "/job/upload", response)["outcome"] == "inserted"


def test_every_response_is_text_although_json_is_a_binary_type(gateway: Client) -> None:
    """The test client `gateway` imitates API Gateway. It fails if a text response is in base64, so each request checks
    that the response is not in base64."""
    for accept in ("application/json", "*/*", "text/html", "application/octet-stream", "image/png", None):
        headers = {"Accept": accept} if accept else {}
        for path in ("/loads", "/loads/9", "/openapi.json", "/health", "/", "/department/hires/top/2021"):
            response = gateway.get(path, headers=headers)
            assert response.data[:1] in (b"{", b"[", b"<"), (path, accept)


@pytest.mark.parametrize("depth", [50, 970, 1_000, 100_000])
@pytest.mark.parametrize("path", ["/department/upload", "/department/upload/batch", "/department/backup/restore"])
def test_deeply_nested_json_is_refused(gateway: Client, path: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for body in (deep, b'{"department": ' + deep + b"}", b'{"data": [{"department": ' + deep + b"}, " + deep + b"]}"):
        response = gateway.post(path, data=body, content_type="application/json")
        checked("POST", path, response)
        assert response.status_code in (400, 422)


def test_a_get_request_may_have_any_content_type(gateway: Client) -> None:
    """A GET request has no body, so its Content-Type does not matter."""
    for media_type in ("text/plain", "", "*/*", "x" * 500, "multipart/form-data", "äöü", "application/xml"):
        response = gateway.get("/loads", headers={"Content-Type": media_type})
        assert checked("GET", "/loads", response)["loads"] == [], media_type


def test_the_media_type_of_json_may_be_spelt_in_several_ways(gateway: Client) -> None:
    for media_type in (
        "application/json;",
        "APPLICATION/JSON",
        'application/json; charset="utf-8"',
        "application/json;a=b",
    ):
        response = gateway.post("/job/upload", data=b'{"job": "a"}', content_type=media_type)
        assert checked("POST", "/job/upload", response)["outcome"] == "inserted", media_type


def test_a_body_of_another_type_is_refused(gateway: Client) -> None:
    for media_type in ("*/*", "application/json, text/plain", "äöü", "application/json\x01", "; ;", ","):
        response = gateway.post("/job/upload", data=b'{"job": "a"}', content_type=media_type)
        assert checked("POST", "/job/upload", response)["title"] == "Unsupported media type", media_type


def test_the_response_is_json_for_any_accept_header(gateway: Client) -> None:
    for accept in ("", "*/*", "image/png", "application/octet-stream", "x" * 2000, "ÿ", "text/html;q=x"):
        assert checked("GET", "/loads", gateway.get("/loads", headers={"Accept": accept}))["loads"] == [], accept


def test_a_malformed_correlation_id_is_not_echoed(gateway: Client) -> None:
    for text in [*SQL, "a\tb", "\x1b[31m", "äöü", "²", "a b", "x" * 65, "x" * 100_000, "a,b", "<script>", ""]:
        response = gateway.get("/loads", headers={"X-Correlation-Id": text})
        assert checked("GET", "/loads", response)["loads"] == []
        assert response.headers["X-Correlation-Id"] != text


def test_a_method_that_is_not_deployed_does_not_reach_the_function(gateway: Client) -> None:
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"):
        for path in ("/loads", "/job/upload", "/nowhere"):
            assert gateway.open(path, method=method).status_code == 403


def test_a_body_over_the_limit_of_api_gateway_is_refused(gateway: Client) -> None:
    response = gateway.post("/job/upload", data=b" " * (model.MAX_BODY + 1), content_type="application/json")
    assert (response.status_code, checked("POST", "/job/upload", response)) == (413, {"message": "Request Too Long"})


@pytest.mark.parametrize("path", BODIES)
def test_a_body_too_large_for_a_function_as_base64_is_refused(gateway: Client, path: str) -> None:
    response = checked("POST", path, gateway.post(path, data=b"[" + b" " * MAX_BODY, content_type="application/json"))
    assert response["detail"] == "a body has at most 4.5 MB, this body has 4.5 MB; nothing was stored"


@pytest.mark.parametrize("path", ["/job/upload", "/job/upload/batch"])
def test_a_body_just_within_the_limit_is_accepted(gateway: Client, path: str) -> None:
    text = "x" * (MAX_BODY - 100)
    body = {"data": [{"job": text}]} if path.endswith("batch") else {"job": text}
    response = gateway.post(path, json=body)
    reason = "job is longer than 10000 characters"
    found = json.loads(response.data)
    assert response.status_code == 422
    assert reason in json.dumps(found.get("errors") or [r["reasons"] for r in found["rejected"]])


@pytest.mark.parametrize("path", ["/job/upload", "/loads", "/health"])
def test_a_preflight_of_another_origin_is_refused(gateway: Client, path: str) -> None:
    """Without CORS headers in the response to the preflight, a browser does not send the request itself."""
    asking = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    response = gateway.open(path, method="OPTIONS", headers=asking)
    assert response.status_code == 403
    assert not any(name.lower().startswith("access-control-") for name, _ in response.headers)
    assert not any(entry.cors for methods in app.routes.values() for entry in methods.values())


def test_head_health_returns_the_status_without_a_body(gateway: Client) -> None:
    response = gateway.head("/health")
    assert (response.status_code, response.data) == (200, b"")


# --- compressed bodies


def packed(gateway: Client, path: str, body: bytes, coding: str = "gzip") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    response = gateway.post(path, data=body, headers=headers)
    return response.status_code, checked("POST", path, response)


def test_a_body_may_be_compressed_with_gzip(gateway: Client) -> None:
    one = b'{"id": 1, "job": "Caf\xc3\xa9"}'
    batch = b'{"data": [{"id": "2.0", "job": "Clerk"}, {"id": 3.0, "job": "Cook"}]}'
    assert packed(gateway, "/job/upload", gzip.compress(one))[0] == 201
    assert packed(gateway, "/job/upload/batch", gzip.compress(batch), "GZIP")[1]["inserted"] == 2
    assert packed(gateway, "/job/upload", one, "identity")[1]["outcome"] == "unchanged"


@pytest.mark.parametrize(
    ("body", "coding", "status", "detail"),
    [
        (b'{"job": "x"}', "br", 415, "the body may be packed by gzip, not by br"),
        (b'{"job": "x"}', "gzip", 400, "the body is not valid gzip, as its Content-Encoding says"),
        (
            gzip.compress(b'{"job": "x"}', mtime=0)[:-4],
            "gzip",
            400,
            "the body is not valid gzip, as its Content-Encoding says",
        ),
        (gzip.compress(b" " * (MAX_BODY + 1), mtime=0), "gzip", 413, "also when it is unpacked; nothing was stored"),
        (gzip.compress(b"\xff", mtime=0), "gzip", 400, "the body is not UTF-8"),
        (gzip.compress(b"{}", mtime=0), "identity", 400, "packed by gzip: say so in the header Content-Encoding: gzip"),
    ],
    ids=["another coding", "no gzip", "cut off", "too large", "not UTF-8", "not declared"],
)
def test_a_compressed_body_that_cannot_be_read_is_refused(
    gateway: Client, database: Database, body: bytes, coding: str, status: int, detail: str
) -> None:
    answered, problem = packed(gateway, "/job/upload", body, coding)
    assert (answered, detail in problem["detail"]) == (status, True)
    with database.session() as session:
        assert session.scalar("SELECT count(*) FROM jobs") == 0
