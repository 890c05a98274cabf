"""Checks responses against the OpenAPI document. The checks use only what the document says."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from chalicelib.api.http.access import needed
from chalicelib.api.openapi.document import document
from chalicelib.auth.roles import Need

Json = dict[str, Any]
_FORMATS = FormatChecker(["date-time"])


class Described:
    """Reads one OpenAPI document, and checks responses with the declarations in it."""

    def __init__(self, document: Json) -> None:
        self.document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
        self._paths = {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "/?") for path in document["paths"]}

    def operation(self, method: str, url: str) -> Json | None:
        """Return the operation that the document declares for a request, or None."""
        path = urlsplit(url).path
        exact = self.document["paths"].get(path)
        items = [exact] if exact else [self.document["paths"][p] for p, rx in self._paths.items() if rx.fullmatch(path)]
        return next((item[method.lower()] for item in items if method.lower() in item), None)

    def faults(self, schema: Json, value: Any) -> list[str]:
        """Return the reasons why a value does not match a schema of the document. The list is empty if it matches."""
        resolvable = json.loads(json.dumps(schema).replace('"#/', '"urn:openapi#/'))
        validator = Draft202012Validator(resolvable, registry=self._registry, format_checker=_FORMATS)
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:500]}" for e in validator.iter_errors(value)]

    def check(self, method: str, url: str, status: int, headers: Mapping[str, Any], body: Any) -> None:
        """Raise AssertionError if the document does not declare this response for this request."""
        operation = self.operation(method, url)
        exchange = f"{method} {url[:200]} -> {status}"
        assert operation is not None, f"{exchange}: the operation is not declared"
        response = operation["responses"].get(str(status))
        assert response is not None, f"{exchange}: the status is not declared"
        sent = {"content-type": "application/json"}  # API Gateway adds this type if the function sets no content type
        sent |= {name.lower(): str(value) for name, value in headers.items()}
        for name, header in response.get("headers", {}).items():
            assert name.lower() in sent or not header.get("required"), f"{exchange}: the header {name} is missing"
            if name.lower() in sent:
                value: Any = sent[name.lower()]
                value = int(value) if header["schema"].get("type") == "integer" else value
                assert not self.faults(header["schema"], value), f"{exchange}: {name}: {value!r} is not declared"
        if "content" not in response:
            # If the function returns the body of an error in response to HEAD, the HTTP server does not send this body.
            assert not body or method == "HEAD", f"{exchange}: no body is declared"
            return
        media_type = sent.get("content-type", "").partition(";")[0]
        assert media_type in response["content"], f"{exchange}: the content type {media_type} is not declared"
        faults = self.faults(response["content"][media_type]["schema"], body)
        assert not faults, f"{exchange}: {faults}"


@cache
def described(*, guarded: bool = True) -> Described:
    """Return the document of a stage. If `guarded` is true, this is a stage that requires tokens."""
    from app import app

    def need_of(method: str, path: str) -> Need | None:
        return needed(app, method, path) if guarded else None

    return Described(document(need_of))
