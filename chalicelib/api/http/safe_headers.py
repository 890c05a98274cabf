"""Adds the headers for browsers to every response of the API.

A view may set one of these headers itself, and the value of the view then counts. For example, a page has a policy of
its own, and a browser may keep the files that pages load.
"""

from collections.abc import Callable
from typing import Any

from chalice.app import Request, Response

from chalicelib.core.browser_headers import HEADERS


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    response = get_response(event)
    own = {name.lower() for name in response.headers}
    response.headers |= {name: value for name, value in HEADERS.items() if name.lower() not in own}
    return response
