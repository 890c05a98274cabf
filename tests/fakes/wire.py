"""Makes boto3 clients whose requests a Python object answers. Nothing is sent.

botocore's description of the service checks every request and every response: names, types, required members, lengths,
patterns and enumerations. So a fake accepts no request that AWS would refuse because of its form, and sends no response
that AWS could not send.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.model import OperationModel
from botocore.validate import ParamValidator

from infra.sessions import session

REGION = "us-east-1"
# The models do not name the errors of requests with a wrong form, and of HEAD requests.
_COMMON_ERRORS = {"ValidationError", "404", "403"}
Note = Callable[[str, str, dict[str, Any]], None]  # takes the service, the operation and its parameters


class Refused(Exception):
    """The error of a request that the fake service refuses. `code` is an error code of the service."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Wire:
    """A boto3 client. `backend` has a method for every operation; `admit` runs before each request, and `note` gets it.

    It takes a third of a second to make a client, so all fake accounts share the clients of a process.
    """

    client: Any
    backend: object = None
    admit: Callable[[], None] = lambda: None
    note: Note = lambda *_: None


def client(service: str, backend: object, admit: Callable[[], None], note: Note = lambda *_: None) -> Any:
    """Return the client of the service. From now on, this backend answers its requests."""
    wire = _wire(service)
    wire.backend, wire.admit, wire.note = backend, admit, note
    return wire.client


@cache
def _wire(service: str) -> Wire:
    of_fake: Any = session(region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret")
    wire = Wire(of_fake.client(service))

    def keep(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["given"] = dict(params)

    def answer(model: OperationModel, context: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        wire.admit()
        given = context["given"]
        wire.note(service, model.name, given)
        problems = list(violations(given, model.input_shape)) if model.input_shape else []
        try:
            if problems:
                raise Refused("ValidationError", "; ".join(problems))
            found = getattr(wire.backend, xform_name(model.name))(**given) or {}
        except Refused as error:
            return _refusal(model, error)
        if model.output_shape:
            report = ParamValidator().validate(found, model.output_shape)
            assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
            wrong = list(violations(found, model.output_shape))
            assert not wrong, f"{model.name}: {wrong}"
        return _response(200), {**found, "ResponseMetadata": {}}

    wire.client.meta.events.register("before-parameter-build", keep)
    wire.client.meta.events.register("before-call", answer)
    return wire


def _refusal(model: OperationModel, error: Refused) -> tuple[AWSResponse, dict[str, Any]]:
    shapes: list[Any] = model.error_shapes
    known = {shape.error_code for shape in shapes} | _COMMON_ERRORS
    assert error.code in known, f"{model.name} has no error {error.code}"
    return _response(400), {"Error": {"Code": error.code, "Message": str(error)}, "ResponseMetadata": {}}


def violations(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    """Yield a text for each way in which a value violates its shape. ParamValidator checks only the types. This
    function checks enumerations, patterns and lengths."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            yield from violations(inner, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            yield from violations(inner, shape.member, path)
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _of_text(value, shape, path)


def _of_text(value: str, shape: Any, path: str) -> Iterator[str]:
    about = shape.metadata
    if about.get("enum") and value not in about["enum"]:
        yield f"{path} is {value!r}, but it must be one of {about['enum']}"
    if "pattern" in about and not re.fullmatch(_python(about["pattern"]), value, re.DOTALL):
        yield f"{path} is {value!r}, which does not match {about['pattern']}"
    if not about.get("min", 0) <= len(value) <= about.get("max", len(value)):
        yield f"{path} has {len(value)} characters"


def _python(pattern: str) -> str:
    """Convert a Java pattern to a Python pattern, because Python does not know classes such as `\\p{L}`."""
    return re.sub(r"\\p\{\w+\}", r"\\w", pattern)


def _response(status: int) -> AWSResponse:
    headers: Any = {}
    return AWSResponse("https://fake.invalid", status, headers, None)
