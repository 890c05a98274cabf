"""Declares the kinds of values that a setting may have. A kind says how the text of an environment variable is parsed,
and which texts are allowed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
_ROOT = Path(__file__).parents[2]  # the folder into which Lambda unpacks the deployment package
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # a part of a host name, between two dots
_ORIGIN = re.compile(rf"https://{_LABEL}(?:\.{_LABEL})*(?::[1-9][0-9]{{0,4}})?")
_DECIMAL = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.ASCII)  # float() would also accept 1_0 and Arabic digits


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of values. `allowed` describes the allowed texts, for the message "NAME=text is not <allowed>". `read`
    parses a text, and raises ValueError if the text is not allowed.

    `empty` is the value of a setting that is not set and has no default.
    """

    allowed: str
    read: Callable[[str], T]
    empty: Any = None


def choice(*values: str) -> Kind[str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return Kind(" or ".join(filter(None, (", ".join(values[:-1]), values[-1]))), read)


def switch() -> Kind[bool]:
    one_of = choice("on", "off")
    return Kind(one_of.allowed, lambda text: one_of.read(text) == "on")


def number(most: float, unit: str) -> Kind[float]:
    """Return the kind of the numbers above 0. Their text may have a fraction or an exponent."""

    def read(text: str) -> float:
        value = float(text) if _DECIMAL.fullmatch(text) else 0.0
        if not 0 < value <= most:
            raise ValueError
        return value

    return Kind(f"a number of {unit} above 0 and at most {most:.0f}", read)


def minutes(most: float) -> Kind[timedelta]:
    of = number(most, "minutes")
    return Kind(of.allowed, lambda text: timedelta(minutes=of.read(text)))


def days(most: float) -> Kind[timedelta]:
    of = number(most, "days")
    return Kind(of.allowed, lambda text: timedelta(days=of.read(text)))


def whole(low: int, high: int, unit: str = "") -> Kind[int]:
    """Return the kind of the whole numbers from `low` to `high`. Their text may have an exponent, as in `1e9`."""

    def read(text: str) -> int:
        value = float(text) if _DECIMAL.fullmatch(text) else -1.0
        if not (value.is_integer() and low <= value <= high):
            raise ValueError
        return int(value)

    return Kind(f"a whole number{f' of {unit}' if unit else ''} from {low} to {high}", read)


def port() -> Kind[int]:
    return Kind("a port from 1 to 65535", whole(1, 65_535).read)


def text(allowed: str, pattern: str = r"[^\x00-\x1f]+") -> Kind[str]:
    def read(given: str) -> str:
        if not re.fullmatch(pattern, given):
            raise ValueError
        return given

    return Kind(allowed, read, "")


def url(*schemes: str) -> Kind[str]:
    def read(given: str) -> str:
        parts = urlsplit(given)
        if parts.scheme not in schemes or not parts.hostname or parts.port == 0:  # `port` may raise ValueError
            raise ValueError
        return given

    return Kind(f"a URL of the form {schemes[0]}://host…", read, "")


def origins() -> Kind[tuple[str, ...]]:
    """Return the kind of a setting that is a list of origins with commas between them. An origin is written as browsers
    write it in the header `Origin`: in lower case, and without a path, a wildcard or the default port."""

    def read(given: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(each.strip() for each in given.split(",")))
        if not all(_ORIGIN.fullmatch(each) and not each.endswith(":443") for each in found):
            raise ValueError
        return found

    return Kind("a list of origins like https://host, with commas between them, lower case, and no path", read, ())


def packaged_file() -> Kind[str]:
    """Return the kind of the files in the deployment package. The text is the path of a file inside the package. The
    value is the absolute path."""

    def read(given: str) -> str:
        if not (_ROOT / given).is_file():
            raise ValueError
        return str(_ROOT / given)

    return Kind("a file of the deployment package", read, "")
