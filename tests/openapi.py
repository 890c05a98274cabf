"""Answers held against the OpenAPI document, by nothing but the document."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker, validators
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from chalicelib.api.http.access import needed
from chalicelib.api.openapi.document import document

Json = dict[str, Any]
_FORMATS = FormatChecker(["date-time"])
# JSON Schema takes 1.0 for an integer. Our rules do not, and the API never answers with one.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
_Validator = validators.extend(Draft202012Validator, type_checker=_TYPES)  # type: ignore[no-untyped-call]


class Described:
    """One document, and what it says of requests and answers."""

    def __init__(self, document: Json) -> None:
        self.document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
        self._paths = {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "/?") for path in document["paths"]}

    def operation(self, method: str, url: str) -> Json | None:
        """What the document says of a request, None where it has no such operation."""
        path = urlsplit(url).path
        exact = self.document["paths"].get(path)
        found = [exact] if exact else [self.document["paths"][p] for p, rx in self._paths.items() if rx.fullmatch(path)]
        return next((item[method.lower()] for item in found if method.lower() in item), None)

    def faults(self, schema: Json, value: Any) -> list[str]:
        """Why a value does not fit a schema of the document."""
        there = json.loads(json.dumps(schema).replace('"#/', '"urn:openapi#/'))
        validator = _Validator(there, registry=self._registry, format_checker=_FORMATS)
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:500]}" for e in validator.iter_errors(value)]

    def check(self, method: str, url: str, status: int, headers: Mapping[str, Any], body: Any) -> None:
        """Raises AssertionError where the document does not declare such an answer to such a request."""
        operation = self.operation(method, url)
        asked = f"{method} {url[:200]} -> {status}"
        assert operation is not None, f"{asked}: no such operation"
        response = operation["responses"].get(str(status))
        assert response is not None, f"{asked}: no such status"
        sent = {"content-type": "application/json"}  # what API Gateway adds where a function says nothing
        sent |= {name.lower(): str(value) for name, value in headers.items()}
        for name, header in response.get("headers", {}).items():
            assert name.lower() in sent or not header.get("required"), f"{asked}: no {name}"
            if name.lower() in sent:
                value: Any = sent[name.lower()]
                value = int(value) if header["schema"].get("type") == "integer" else value
                assert not self.faults(header["schema"], value), f"{asked}: {name}"
        if "content" not in response:
            assert not body, f"{asked}: a body"
            return
        media_type = sent.get("content-type", "").partition(";")[0]
        assert media_type in response["content"], f"{asked}: no such content type: {media_type}"
        faults = self.faults(response["content"][media_type]["schema"], body)
        assert not faults, f"{asked}: {faults}"


@cache
def described(*, guarded: bool = True) -> Described:
    """The document of a stage that asks for tokens, or of one that does not."""
    from app import app

    def role_of(method: str, path: str) -> str | None:
        role = needed(app, method, path) if guarded else None
        return role and role.value

    return Described(document(role_of))
