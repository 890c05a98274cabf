"""The API with its errors as one line each, and the presigned addresses that it hands out."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from cli.errors import CommandError, NoAnswer, Refused
from cli.forms import Form
from cli.http import Client, Response

Document = dict[str, Any]
_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # nothing was stored: it may be asked again
_TRIES = 4
_LONGEST = 10.0  # seconds between two tries, whatever the answer asks for
_REMEDIES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "set API_TOKEN to a token of this stage (an operator makes one: hireflow token new)",
    HTTPStatus.FORBIDDEN: "use a token with that role (an operator makes one: hireflow token new)",
}
_NO_ROUTE = "there is nothing at this address: is API_URL right, and is the stage deployed from this version?"


class Api:
    """The API at `url`. Raises Refused for an answer that is an error, CommandError where there is none.

    `absent` is what to say if nothing listens there, `outdated` what to do if the token is refused; `tries` is how
    often a request is made that the API puts off.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        absent: str = "",
        outdated: str = "",
        tries: int = _TRIES,
    ) -> None:
        self.url, self._tries = url, tries
        self._absent = absent
        self._remedies = _REMEDIES | ({HTTPStatus.UNAUTHORIZED: outdated} if outdated else {})
        if absent:  # it is a stage on this machine
            self._remedies[HTTPStatus.SERVICE_UNAVAILABLE] = "make status says what runs"
        self._http = Client({"Authorization": f"Bearer {token}"} if token else {})

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer; parameters that are None are left out."""
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
        """An answer, successful or with one of the `accepted` statuses."""
        given = {name: str(value) for name, value in (parameters or {}).items() if value is not None}
        for left in range(self._tries, 0, -1):
            response = self._asked(method, path, given, body, headers)
            if response.ok or response.status in accepted:
                return response
            if response.status not in _AGAIN or left == 1:
                break
            time.sleep(_pause(response))
        raise _refused(response, self._remedies)

    def _asked(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None, headers: Mapping[str, str] | None
    ) -> Response:
        try:
            return self._http.send(method, self.url + path, query=query, body=body, headers=headers)
        except NoAnswer as error:
            if error.refused and self._absent:
                raise NoAnswer(self._absent, refused=True) from error
            raise


class Presigned:
    """S3 at addresses that carry their own permission: no token goes there. Raises CommandError."""

    def __init__(self) -> None:
        self._http = Client()

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """The bytes of an object, as they come."""
        with self._http.download(url) as (response, pieces):
            if not response.ok:
                raise _refused_by_s3("the file cannot be read", response)
            yield pieces

    def upload(self, url: str, form: Form) -> None:
        """Send a form with a file, which streams from where it lies."""
        response = self._http.send("POST", url, body=form, headers={"Content-Type": form.content_type})
        if not response.ok:
            raise _refused_by_s3(f"{form.name} was not taken", response)


def _pause(response: Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", 1)), 0.0), _LONGEST)
    except ValueError:  # a date
        return _LONGEST


def _refused(response: Response, remedies: Mapping[int, str]) -> Refused:
    """One line: the status, what the problem document says, and what to do about it, by the status."""
    status = response.status
    problem = _problem(response)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        leads = f" to {place}" if (place := response.headers.get("Location")) else ""
        return Refused(status, f"{status} the API's address leads elsewhere{leads}: set API_URL to where the API is")
    if "detail" not in problem:  # API Gateway's own, or not our API at all
        known = status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
        said = _NO_ROUTE if known else str(problem.get("message") or response.reason or "an error")
        foreign = "" if problem or known else "; the answer is not the API's: is API_URL right, or a proxy in between?"
        return Refused(status, f"{status} {said}{foreign}")
    reasons = [str(error.get("reason")) for error in problem.get("errors", ())]
    found_by = problem.get("correlation_id")  # of errors on the API's side
    hints = [remedies.get(status), f"in the logs it is {found_by}" if found_by else None]
    told = [f"{problem.get('title', 'Error')}: {problem['detail']}", *reasons, *filter(None, hints)]
    return Refused(status, f"{status} {'; '.join(told)}", str(problem["detail"]))


def _problem(response: Response) -> Document:
    try:
        document = response.json()
    except CommandError:
        return {}
    return document if isinstance(document, dict) else {}


def _refused_by_s3(what: str, response: Response) -> Refused:
    """S3 explains itself in XML."""
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", response.text) for tag in ("Code", "Message"))
    why = f"{code[1]}: {message[1]}" if code and message else response.reason
    return Refused(response.status, f"{what}: {response.status} {why}")
