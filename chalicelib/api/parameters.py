"""Path and query parameters, declared once: requests are held to them, and the OpenAPI document shows them.

A view says with `takes` which query parameters it has. The middleware refuses any other one, and one that is
given more than once, before a view sees the request: a filter that is misspelt would show everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from chalice.app import Chalice, Request, Response

from chalicelib.errors import Unprocessable


@dataclass(frozen=True)
class Parameter:
    """`default` is what a query parameter that is left out counts as, None for no value at all; one that is
    `required` may not be left out."""

    name: str
    about: str
    _: KW_ONLY
    example: Any
    default: Any = None
    required: bool = False

    def read(self, text: str) -> Any:
        """The value of what was sent. Raises Unprocessable."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """The values that `read` takes, as JSON Schema."""
        raise NotImplementedError


@dataclass(frozen=True)
class WholeNumber(Parameter):
    """Decimal digits, from `low` to `high`."""

    _: KW_ONLY
    low: int = 1
    high: int

    def read(self, text: str) -> int:
        if (
            text.isascii()
            and text.isdigit()
            and len(text) <= len(str(self.high))
            and self.low <= int(text) <= self.high
        ):
            return int(text)
        raise Unprocessable(f"{self.name} must be a whole number from {self.low} to {self.high}")

    def schema(self) -> dict[str, Any]:
        wide = {"format": "int64"} if self.high >= 2**31 else {}
        return {"type": "integer", **wide, "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class OneOf(Parameter):
    """One of few values."""

    _: KW_ONLY
    allowed: tuple[str, ...]

    def read(self, text: str) -> str:
        if text not in self.allowed:
            raise Unprocessable(f"{self.name} must be one of {', '.join(self.allowed)}")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.allowed)}


@dataclass(frozen=True)
class Text(Parameter):
    """Any text."""

    def read(self, text: str) -> str:
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_DECLARED, _QUERY = "query_parameters", "hireflow.query"  # of a view, and of the context of a request to it
_SHOWN = 40  # characters of an unknown name
View = TypeVar("View", bound=Callable[..., Any])


def takes(*parameters: Parameter) -> Callable[[View], View]:
    """Declare the query parameters of a view. One that declares nothing takes none."""
    return lambda view: _declaring(view, parameters)


def takes_anything(view: View) -> View:
    """Declare that a view does not look at its query: a page for people, whose links may have grown one."""
    return _declaring(view, None)


def _declaring(view: View, parameters: tuple[Parameter, ...] | None) -> View:
    setattr(view, _DECLARED, parameters)
    return view


def middleware(app: Chalice) -> Callable[[Request, Callable[[Any], Response]], Response]:
    """What reads the query of every request before its view does. Raises Unprocessable."""

    def reading(event: Request, get_response: Callable[[Any], Response]) -> Response:
        route = app.routes.get(event.path, {}).get(event.method)
        declared = getattr(route.view_function, _DECLARED, ()) if route else None
        if declared is not None:
            event.context[_QUERY] = read(declared, _sent(event))
        return get_response(event)

    return reading


def unknown(name: str, known: Sequence[str]) -> str:
    others = f"known are {', '.join(known)}" if known else "there is none"
    return f"the query parameter {name[:_SHOWN]!r} is not known here: {others}"


def asked(request: Request) -> dict[str, Any]:
    """The query parameters that were sent or have a default, as the view of the request declares them."""
    return dict(request.context[_QUERY])


def _sent(request: Request) -> dict[str, list[str]]:
    query = request.query_params
    return {name: query.getlist(name) for name in query} if query else {}


def read(parameters: tuple[Parameter, ...], query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Every parameter that was sent, by name with all its values, or has a default. Raises Unprocessable."""
    known = [p.name for p in parameters]
    for name, values in query.items():
        if name not in known:
            raise Unprocessable(unknown(name, known))
        if len(values) != 1:
            raise Unprocessable(f"the query parameter {name} must be given once")
    sent = {name: value for name, [value] in query.items()}
    lacking = [p.name for p in parameters if p.required and p.name not in sent]
    if lacking:
        raise Unprocessable(f"the query parameter {' and '.join(lacking)} must be given")
    found = {p.name: p.read(sent[p.name]) if p.name in sent else p.default for p in parameters}
    return {name: value for name, value in found.items() if value is not None}
