"""Adds operations that ministack lacks, as an ASGI application (the front) around ministack's own application.

`chalice deploy` and the product need these operations:

- ImportRestApi and PutRestApi. The front replaces each by several requests that ministack supports.
- UpdateRestApi. The front removes an empty minimumCompressionSize, which ministack would fail to parse as a number.
- CreateFunction and the updates of functions. The front delays their responses until the function is active, because
  clients that see a pending function sleep five seconds before they look again.
- FilterLogEvents. The front adds ids and pages to the response.
- ListObjectVersions. The front encodes keys if the request asks for this. A key may contain characters that XML does
  not allow, and one such key would make the whole list unreadable.

All other requests pass unchanged. tests/integration/infra/test_cloud_front.py fails if a newer ministack makes a part
of this module unnecessary.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import unescape  # nosec B406: this function does not parse XML

from botocore.config import Config

from infra.local import apigateway, logevents
from infra.local.gate.app import App, Send
from infra.local.gate.bodies import Disconnected, Message, Receive, again
from infra.local.gate.credentials import REGION, Keys

_FUNCTION_CHANGE = re.compile(r"/[\d-]+/functions(?:/[^/]+/(?:code|configuration))?/?")
_REST_API = re.compile(r"/restapis/([^/]+)/?")
_KEY = re.compile(rb"<(Prefix|Delimiter|KeyMarker|NextKeyMarker|Key)>([^<]*)</\1>")  # of ListObjectVersions' response
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/")


class Front:
    """Adds the missing operations to `inner`. Some of them send requests to `endpoint`, the front's own address.

    These requests are signed with `keys`, and so have more rights than a function has. Therefore only the holder of
    `keys` may import an API.
    """

    def __init__(self, inner: App, endpoint: str, keys: Keys) -> None:
        self._inner, self._endpoint, self._keys = inner, endpoint, keys

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._inner(scope, receive, send)
        method, path = scope["method"], scope["path"]
        api = _REST_API.fullmatch(path)
        if method in ("POST", "PUT") and path.startswith("/restapis") and not self._is_ours(scope):
            return await self._inner(scope, receive, send)
        if method == "POST" and path.rstrip("/") == "/restapis":
            query = parse_qs(scope["query_string"].decode())
            if query.get("mode") == ["import"]:
                types = query.get("endpointConfigurationTypes", ["EDGE"])
                return await self._import(scope, receive, send, 201, apigateway.import_api, types)
        elif method == "GET" and _wants_encoded_versions(scope):
            return await self._list_versions(scope, receive, send)
        elif method == "PUT" and api:
            return await self._import(scope, receive, send, 200, self._put_api, api[1])
        elif method == "PATCH" and api:
            return await self._update_api(scope, receive, send)
        elif method in ("POST", "PUT") and _FUNCTION_CHANGE.fullmatch(path):
            return await self._change_function(scope, receive, send)
        elif dict(scope["headers"]).get(b"x-amz-target") == logevents.TARGET.encode():
            return await self._filter_log_events(scope, receive, send)
        return await self._inner(scope, receive, send)

    def _is_ours(self, scope: Message) -> bool:
        return _credential(scope)[0] == self._keys.access_key

    def _client(self, scope: Message, service: str) -> Any:
        """Return a boto3 client for the region of the current request."""
        config = Config(parameter_validation=False)  # see apigateway.put_api
        return self._keys.client(service, self._endpoint, _credential(scope)[1], config)

    @staticmethod
    def _put_api(client: Any, document: apigateway.Json, api_id: str) -> apigateway.Json:
        return apigateway.put_api(client, api_id, document)

    async def _import(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        status: int,
        work: Callable[..., apigateway.Json],
        about: Any,
    ) -> None:
        document = json.loads(await _body(receive))
        client = self._client(scope, "apigateway")
        response = await asyncio.to_thread(work, client, document, about)
        response.pop("ResponseMetadata", None)
        if "createdDate" in response:
            response["createdDate"] = response["createdDate"].timestamp()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": json.dumps(response).encode()})

    async def _update_api(self, scope: Message, receive: Receive, send: Send) -> None:
        patch = json.loads(await _body(receive))
        patch["patchOperations"] = [
            change
            for change in patch.get("patchOperations", ())
            if change.get("path") != "/minimumCompressionSize" or change.get("value")
        ]
        body = json.dumps(patch).encode()
        await self._inner(_with_length(scope, body), again(body, receive), send)

    async def _change_function(self, scope: Message, receive: Receive, send: Send) -> None:
        held = await self._held(scope, receive)
        if held and held[0]["status"] < 300:
            await asyncio.to_thread(_until_active, self._client(scope, "lambda"), _json(held)["FunctionName"])
        for message in held:
            await send(message)

    async def _filter_log_events(self, scope: Message, receive: Receive, send: Send) -> None:
        original = await _body(receive)
        try:
            page = logevents.Page.of(json.loads(original))
        except (ValueError, TypeError):  # the request is malformed: ministack refuses it
            await self._inner(scope, again(original, receive), send)
            return
        body = json.dumps(page.request).encode()
        start, *rest = await self._held(_with_length(scope, body), again(body, receive))
        if start["status"] < 300:
            response = json.dumps(page.response(_json(rest))).encode()
            start, rest = _with_length(start, response), [{"type": "http.response.body", "body": response}]
        for message in (start, *rest):
            await send(message)

    async def _list_versions(self, scope: Message, receive: Receive, send: Send) -> None:
        start, *rest = await self._held(scope, receive)
        body = b"".join(message.get("body", b"") for message in rest)
        if start["status"] < 300 and b"<EncodingType>" not in body:
            body = _KEY.sub(_encoded, body).replace(
                b"<IsTruncated>", b"<EncodingType>url</EncodingType><IsTruncated>", 1
            )
            start = _with_length(start, body)
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _held(self, scope: Message, receive: Receive) -> list[Message]:
        """Return the messages of the inner application's response, without sending them."""
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._inner(scope, receive, hold)
        return held


def _wants_encoded_versions(scope: Message) -> bool:
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return "versions" in query and query.get("encoding-type") == ["url"]


def _encoded(element: re.Match[bytes]) -> bytes:
    name, text = element[1], unescape(element[2].decode())
    return b"<%s>%s</%s>" % (name, quote(text).encode(), name)


def _until_active(client: Any, function: str) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        configuration = client.get_function_configuration(FunctionName=function)
        updated = configuration.get("LastUpdateStatus", "Successful") == "Successful"
        if configuration.get("State") == "Active" and updated:
            return
        time.sleep(0.05)


def _json(held: list[Message]) -> Any:
    return json.loads(b"".join(message.get("body", b"") for message in held))


def _with_length(head: Message, body: bytes) -> Message:
    """Return the head of a request or a response, changed for another body.

    The hash of the old body is removed. It is no longer needed, because the gate has already verified the signature.
    """
    replaced = (b"content-length", b"x-amz-content-sha256")
    headers = [(name, value) for name, value in head["headers"] if name.lower() not in replaced]
    return {**head, "headers": [*headers, (b"content-length", str(len(body)).encode())]}


def _credential(scope: Message) -> tuple[str, str]:
    """Return (access key, region) of a signed request."""
    header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    match = _CREDENTIAL.search(header)
    return (match[1], match[2]) if match else ("", REGION)


async def _body(receive: Receive) -> bytes:
    """Return the whole body. Raises Disconnected."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
