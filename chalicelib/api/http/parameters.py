"""Declarations of path and query parameters. Requests are checked against them, and the OpenAPI document shows them.

A view declares its query parameters with `takes`. Before the view runs, the middleware refuses a parameter that is not
declared or is given more than once. Otherwise a misspelt filter would be ignored, and the response would show
everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from chalice.app import Chalice, Request, Response

from chalicelib.core.declarations import DATES, DELIMITERS, ENCODINGS, Declarations, UnknownValue
from chalicelib.core.errors import Unprocessable


@dataclass(frozen=True)
class Parameter:
    """A parameter. `default` is the value of a query parameter that is left out; None means that it then has no value.
    A `required` parameter may not be left out."""

    name: str
    about: str
    _: KW_ONLY
    example: Any
    default: Any = None
    required: bool = False

    def read(self, text: str) -> Any:
        """Parse the text that was sent. Raises Unprocessable."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values that `read` accepts."""
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
    """One of a few values."""

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


@dataclass(frozen=True)
class Declaration(Parameter):
    """A declaration about a file, one of `declarations.NAMES`."""

    def read(self, text: str) -> str:
        try:
            Declarations.of({self.name: text})
        except UnknownValue as error:
            raise Unprocessable(str(error)) from error
        return text

    def schema(self) -> dict[str, Any]:
        known = {"encoding": [*ENCODINGS], "delimiter": [*DELIMITERS], "dates": [*DATES]}
        return {"type": "string"} | ({"enum": known[self.name]} if self.name in known else {})


_DECLARED, _QUERY = "query_parameters", "hireflow.query"  # an attribute of a view, and a key of a request's context
_SHOWN = 40  # the most characters of an unknown name that an error quotes
View = TypeVar("View", bound=Callable[..., Any])


def takes(*parameters: Parameter) -> Callable[[View], View]:
    """Declare the query parameters of a view. A view without a declaration takes none."""
    return lambda view: _declaring(view, parameters)


def takes_anything(view: View) -> View:
    """Declare that a view ignores its query. Users open such a page by links, to which other sites may add a query."""
    return _declaring(view, None)


def _declaring(view: View, parameters: tuple[Parameter, ...] | None) -> View:
    setattr(view, _DECLARED, parameters)
    return view


def middleware(app: Chalice) -> Callable[[Request, Callable[[Any], Response]], Response]:
    """Return middleware that reads the query of every request before its view runs. It raises Unprocessable."""

    def reading(event: Request, get_response: Callable[[Any], Response]) -> Response:
        route = app.routes.get(event.path, {}).get(event.method)
        declared = getattr(route.view_function, _DECLARED, ()) if route else None
        if declared is not None:
            event.context[_QUERY] = read(declared, _sent(event))
        return get_response(event)

    return reading


def unknown(name: str, known: Sequence[str]) -> str:
    """Return the detail of the 422 for an unknown query parameter."""
    return f"the query parameter {name[:_SHOWN]!r} is unknown: this path takes {', '.join(known) or 'none'}"


def query_values(request: Request) -> dict[str, Any]:
    """Return the parsed query parameters that were sent or have a default, by name."""
    return dict(request.context[_QUERY])


def _sent(request: Request) -> dict[str, list[str]]:
    query = request.query_params
    return {name: query.getlist(name) for name in query} if query else {}


def read(parameters: tuple[Parameter, ...], query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Parse every parameter that was sent or has a default. Return the values by name. `query` has all values of each
    name.

    Raises Unprocessable.
    """
    names = [p.name for p in parameters]
    for name, values in query.items():
        if name not in names:
            raise Unprocessable(unknown(name, names))
        if len(values) != 1:
            raise Unprocessable(f"the query parameter {name} must be given once")
    sent = {name: value for name, [value] in query.items()}
    lacking = [p.name for p in parameters if p.required and p.name not in sent]
    if lacking:
        raise Unprocessable(f"the query parameter {' and '.join(lacking)} must be given")
    wanted = {p.name: p.read(sent[p.name]) if p.name in sent else p.default for p in parameters}
    return {name: value for name, value in wanted.items() if value is not None}
