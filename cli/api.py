"""Sends requests to the API, and to presigned S3 addresses that the API returns. Each error message is one line."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from cli.errors import CommandError, NoAnswer, Refused
from cli.forms import Form
from cli.http import Client, Response

Document = dict[str, Any]
_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # nothing was stored, so a retry is safe
_TRIES = 4
_LONGEST = 10.0  # seconds between two tries, even if Retry-After asks for more
_REMEDIES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "set API_TOKEN to a token of this stage (an operator makes one: hireflow token new)",
    HTTPStatus.FORBIDDEN: "use a token with that role or right (an operator makes one: hireflow token new)",
}
_NO_ROUTE = "there is nothing at this address: is API_URL right, and is the stage deployed from this version?"


class Api:
    """The API at `url`. Raises Refused for an error response, and CommandError if no response arrives.

    `absent` is the message if nothing listens at `url`. `outdated` says what to do if the API refuses the token.
    `tries` is how many times a request is sent at most, while the API responds with 429 or 503.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        absent: str = "",
        outdated: str = "",
        tries: int = _TRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self._tries, self._sleep = url, tries, sleep
        self._absent = absent
        self._remedies = _REMEDIES | ({HTTPStatus.UNAUTHORIZED: outdated} if outdated else {})
        if absent:  # only a stage on this machine has it, and `make status` works only there
            self._remedies[HTTPStatus.SERVICE_UNAVAILABLE] = (
                'make status shows which servers run; docs/operations.md says under "Database unavailable" what to do'
            )
        self._http = Client({"Authorization": f"Bearer {token}"} if token else {})

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """Send a GET and return the JSON of the response. Parameters that are None are left out of the query."""
        return self.send("GET", path, parameters).json()

    def post(self, path: str, body: Any = None) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        return self.send("POST", path, body=sent, headers={"Content-Type": "application/json"}).json()

    def delete(self, path: str) -> None:
        self.send("DELETE", path)

    def send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        accepted: tuple[int, ...] = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request, and return a response that is successful or has one of the `accepted` statuses."""
        given = {name: str(value) for name, value in (parameters or {}).items() if value is not None}
        for left in range(self._tries, 0, -1):
            response = self._send_once(method, path, given, body, headers)
            if response.ok or response.status in accepted:
                return response
            if response.status not in _AGAIN or left == 1:
                break
            self._sleep(_pause(response, self._tries - left))
        raise _refused(response, self._remedies)

    def _send_once(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None, headers: Mapping[str, str] | None
    ) -> Response:
        try:
            return self._http.send(method, self.url + path, query=query, body=body, headers=headers)
        except NoAnswer as error:
            if error.refused and self._absent:
                raise NoAnswer(self._absent, refused=True) from error
            raise


class Presigned:
    """A client of S3 for presigned addresses. Such an address contains its permission, so S3 needs and gets no token.

    The methods raise CommandError.
    """

    def __init__(self) -> None:
        self._http = Client()

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """Yield the bytes of an object in pieces, as they arrive."""
        with self._http.download(url) as (response, pieces):
            if not response.ok:
                raise _refused_by_s3("the file cannot be read", response)
            yield pieces

    def upload(self, url: str, form: Form) -> None:
        """Send a form with a file. The file is read while the form is sent."""
        response = self._http.send("POST", url, body=form, headers={"Content-Type": form.content_type})
        if not response.ok:
            raise _refused_by_s3(f"{form.name} was refused", response)


def _pause(response: Response, tried: int) -> float:
    """Return the seconds until the next attempt. The header Retry-After gives them. Without this header, the pause
    doubles after each attempt. API Gateway itself sends no Retry-After."""
    try:
        return min(max(float(response.headers.get("Retry-After", 2**tried)), 0.0), _LONGEST)
    except ValueError:  # Retry-After may also be a date
        return _LONGEST


def _refused(response: Response, remedies: Mapping[int, str]) -> Refused:
    """Return an error whose message is one line: the status, the detail of the problem document, and what to do."""
    status = response.status
    problem = _problem(response)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        target = f" to {place}" if (place := response.headers.get("Location")) else ""
        return Refused(status, f"{status} API_URL redirects{target}: set API_URL to the address of the API itself")
    if "detail" not in problem:  # API Gateway or another program sent this response, not our API
        no_route = status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
        message = _NO_ROUTE if no_route else str(problem.get("message") or response.reason or "an error")
        foreign = "; the response is not from the API: is API_URL right? is a proxy in between?"
        return Refused(status, f"{status} {message}{'' if problem or no_route else foreign}")
    reasons = [str(error.get("reason")) for error in problem.get("errors", ())]
    correlation_id = problem.get("correlation_id")  # only errors of the API itself have this id
    hints = [remedies.get(status), f"in the logs: correlation_id {correlation_id}" if correlation_id else None]
    parts = [f"{problem.get('title', 'Error')}: {problem['detail']}", *reasons, *filter(None, hints)]
    return Refused(status, f"{status} {'; '.join(parts)}", str(problem["detail"]))


def _problem(response: Response) -> Document:
    try:
        document = response.json()
    except CommandError:
        return {}
    return document if isinstance(document, dict) else {}


def _refused_by_s3(what: str, response: Response) -> Refused:
    """Return an error with S3's code and message, which S3 sends as XML."""
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", response.text) for tag in ("Code", "Message"))
    why = f"{code[1]}: {message[1]}" if code and message else response.reason
    return Refused(response.status, f"{what}: {response.status} {why}")
