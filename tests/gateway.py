"""A model of Amazon API Gateway, for a REST API with Lambda proxy integration. It is a WSGI application that calls the
app in this process.

The model behaves as AWS documents it:

- It responds 403 to a path or method that is not deployed. This includes OPTIONS if the API has no CORS.
- It responds 413 to a body over 10 MB, and 502 if the response of the function is over 6 MB.
- It adds the content type application/json if the function sets none.
- It passes on a body as base64 if its content type is one of the app's binary types. These may have wildcards. It
  passes on other bodies as text, with U+FFFD for bytes that are not UTF-8.
- It renames the header WWW-Authenticate of a response.
- If the function returns a body in base64, it decodes this body only if the request has the header Accept. All types
  are binary types in the description that API Gateway gets (`requests.DESCRIBING`).
"""

import base64
import json
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

from chalice.app import Chalice
from chalice.local import LambdaContext

from chalicelib.api.check_routes import XLSX
from chalicelib.api.http.requests import ANY

MAX_BODY = 10 * 1024 * 1024
MAX_RESPONSE = 6 * 1024 * 1024
JSON = "application/json"
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Gateway:
    """A WSGI application. `decodes` says whether it percent-decodes path parameters. AWS does not decode them, but some
    emulators do."""

    def __init__(self, app: Chalice, *, decodes: bool = False) -> None:
        self._app, self._decodes = app, decodes

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, headers, body = self._response(environ)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _response(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        method, path = environ["REQUEST_METHOD"], environ["REQUEST_URI"].partition("?")[0]
        route, captured = self._matched(path)
        if method not in self._app.routes.get(route, ()):
            return _own(403, "Missing Authentication Token")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY:
            return _own(413, "Request Too Long")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True, errors="replace")
        sent = environ["wsgi.input"].read(length)
        media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        binary = self._is_binary(media_type)
        body = base64.b64encode(sent).decode() if binary else sent.decode("utf-8", "replace")
        event = {
            "httpMethod": method,
            "path": path,
            "headers": _headers(environ),
            "pathParameters": captured or None,
            "multiValueQueryStringParameters": query or None,
            "requestContext": {
                "httpMethod": method,
                "resourcePath": route,
                "path": path,
                "identity": {"sourceIp": "127.0.0.1"},
            },
            "stageVariables": None,
            "body": body or None,
            "isBase64Encoded": bool(body) and binary,
        }
        event = json.loads(json.dumps(event))  # the event as Lambda receives it
        response = json.loads(json.dumps(self._app(event, LambdaContext("api_handler", 512, 29_000))))
        if len(json.dumps(response)) > MAX_RESPONSE:
            return _own(502, "Internal server error")
        headers = {"Content-Type": JSON} | response["headers"]
        body = response["body"].encode()
        if response.get("isBase64Encoded"):
            # API Gateway does not decode a base64 response for most clients. So only workbooks may be encoded.
            assert headers["Content-Type"] == XLSX
            accepted = environ.get("HTTP_ACCEPT", "").partition(",")[0].partition(";")[0].strip().lower()
            body = base64.b64decode(body) if fnmatchcase(accepted, ANY) else body
        renamed = [
            (f"x-amzn-Remapped-{name}" if name == "WWW-Authenticate" else name, headers[name]) for name in headers
        ]
        return response["statusCode"], renamed, body

    def _is_binary(self, media_type: str) -> bool:
        return any(fnmatchcase(media_type, declared) for declared in self._app.api.binary_types)

    def _matched(self, path: str) -> tuple[str, dict[str, str]]:
        """Return the declared path that matches, and its parameters. If several paths match, one with a fixed segment
        wins over one with a parameter."""
        parts = path.rstrip("/").split("/")
        for route in sorted(self._app.routes, key=lambda declared: declared.count("{")):
            names = route.rstrip("/").split("/")
            if len(names) == len(parts) and all(
                n == p or (n.startswith("{") and p) for n, p in zip(names, parts, strict=True)
            ):
                pairs = [(n, p) for n, p in zip(names, parts, strict=True) if n.startswith("{")]
                return route, {n[1:-1]: unquote(p) if self._decodes else p for n, p in pairs}
        return "", {}


def _own(status: int, message: str) -> tuple[int, list[tuple[str, str]], bytes]:
    return status, [("Content-Type", JSON)], json.dumps({"message": message}).encode()


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {name[5:].replace("_", "-").title(): str(v) for name, v in environ.items() if name.startswith("HTTP_")}
    return headers | ({"Content-Type": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {})
