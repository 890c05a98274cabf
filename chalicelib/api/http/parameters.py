"""Declares the path and query parameters of the API. Requests are checked against these declarations, and the OpenAPI
document shows them.

A view declares its query parameters with `takes`. Before the view runs, the middleware refuses a request with a
parameter that is not declared, or that is given more than once. Otherwise the API would ignore a misspelt filter, and
the response would show everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from chalice.app import Chalice, Request, Response

from chalicelib.core.declarations import DATES, DELIMITERS, ENCODINGS, Declarations, UnknownValue
from chalicelib.core.errors import Unprocessable


@dataclass(frozen=True)
class Parameter:
    """Declares a parameter. `default` is the value of a query parameter that the request leaves out. If `default` is
    None, such a parameter has no value. A request may not leave out a `required` parameter."""

    name: str
    about: str
    _: KW_ONLY
    example: Any
    default: Any = None
    required: bool = False

    def read(self, text: str) -> Any:
        """Return the value of the text that was sent. Raises Unprocessable for an invalid text."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values that `read` accepts."""
        raise NotImplementedError


@dataclass(frozen=True)
class WholeNumber(Parameter):
    """Reads a whole number from `low` to `high`, written in decimal digits."""

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
    """Reads a text that must be one of the `allowed` values."""

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
    """Reads a text. Every text is valid."""

    def read(self, text: str) -> str:
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True)
class Declaration(Parameter):
    """A parameter that declares something about a file. Its name is one of `declarations.NAMES`."""

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
_SHOWN = 40  # an error quotes at most this many characters of an unknown name
View = TypeVar("View", bound=Callable[..., Any])


def takes(*parameters: Parameter) -> Callable[[View], View]:
    """Declare the query parameters of a view. A view without this declaration takes no query parameters."""
    return lambda view: _declaring(view, parameters)


def takes_anything(view: View) -> View:
    """Declare that a view ignores its query. Users open the pages of such views through links, and other sites may add
    a query to a link."""
    return _declaring(view, None)


def _declaring(view: View, parameters: tuple[Parameter, ...] | None) -> View:
    setattr(view, _DECLARED, parameters)
    return view


def middleware(app: Chalice) -> Callable[[Request, Callable[[Any], Response]], Response]:
    """Return middleware that parses the query of every request before the view runs. The middleware raises
    Unprocessable for an invalid query."""

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
    """Return the values of the query parameters that were sent or have a default, by name."""
    return dict(request.context[_QUERY])


def _sent(request: Request) -> dict[str, list[str]]:
    query = request.query_params
    return {name: query.getlist(name) for name in query} if query else {}


def read(parameters: tuple[Parameter, ...], query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the values of all parameters that were sent or have a default, by name. `query` has the texts that were
    sent for each name.

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
