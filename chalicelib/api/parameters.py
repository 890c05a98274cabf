"""Path and query parameters, declared once: the views read them with these, the OpenAPI document shows them."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from chalice.app import Request

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


def asked(request: Request, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """The query parameters that were sent (the last of each name) or have a default. Raises Unprocessable."""
    sent = dict(request.query_params or {})
    lacking = [p.name for p in parameters if p.required and p.name not in sent]
    if lacking:
        raise Unprocessable(f"the query parameter {' and '.join(lacking)} must be given")
    found = {p.name: p.read(sent[p.name]) if p.name in sent else p.default for p in parameters}
    return {name: value for name, value in found.items() if value is not None}
