"""Renders templates as HTML. Jinja escapes every value, and shows hidden characters as marks.

A direction mark in a value could otherwise change the order in which the page around the value is shown. Templates put
the values that users have sent into `<bdi>`, because texts of some languages run from right to left without any mark.
"""

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from chalicelib.core.texts import with_visible_marks

_HERE = Path(__file__).parent
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def render(template: str, **context: Any) -> str:
    return _environment().get_template(template).render(context)


@cache
def asset(name: str) -> str:
    """Return the text of the page's style sheet or script. The page includes exactly this text."""
    return (_HERE / "assets" / name).read_text("utf-8").removesuffix("\n")


@cache
def asset_hash(name: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an inline style or script: `sha256-…`."""
    return "sha256-" + base64.b64encode(sha256(asset(name).encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader((_HERE / "templates", _HERE / "assets")),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "age": age, "size": size, "moment": moment}
    return environment


def _finalized(value: Any) -> Any:
    """Return a value as a template shows it. HTML stays as it is."""
    return with_visible_marks(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def number(value: float) -> str:
    """Format a number, for example 1,234. A fraction has one decimal digit."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def size(count: int) -> str:
    """Format a number of bytes, for example 1.2 MB."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} bytes"


def age(span: timedelta) -> str:
    """Format a duration in the largest unit that fits, for example 3 minutes."""
    seconds = max(0, int(span.total_seconds()))
    for length, unit in _UNITS:
        if seconds >= length or length == 1:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError


def moment(at: datetime | None) -> Markup | str:
    """Format a time in UTC, to the second."""
    if at is None:
        return "–"
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%d %H:%M:%S")
    )
