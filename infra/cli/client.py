"""HTTP: the API with its errors as one line each, and the presigned addresses that it hands out."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, BinaryIO

import httpx

from infra.cli.errors import Refused
from infra.errors import CloudError

Document = dict[str, Any]
_PATIENCE = httpx.Timeout(60, connect=10)  # seconds without a byte; API Gateway gives up after 29
_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # nothing was stored: it may be asked again
_TRIES = 4
_LONGEST = 10.0  # seconds between two tries, whatever the answer asks for
_REMEDIES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "set API_TOKEN to a token of this stage (an operator makes one: ./hireflow token new)",
    HTTPStatus.FORBIDDEN: "use a token with that role (an operator makes one: ./hireflow token new)",
}
_NO_ROUTE = "there is nothing at this address: is API_URL right, and is the stage deployed from this version?"


class Api:
    """The API at `url`. Raises Refused for an answer that is an error, CloudError where there is none."""

    def __init__(self, url: str, token: str, wait: Callable[[float], None] = time.sleep) -> None:
        self.url, self._wait = url, wait
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(headers=headers, timeout=_PATIENCE)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer; parameters that are None are left out."""
        return _json(self.send("GET", path, parameters))

    def post(self, path: str, body: Any = None) -> Any:
        return _json(self.send("POST", path, json=body))

    def send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        accepted: tuple[int, ...] = (),
        **arguments: Any,
    ) -> httpx.Response:
        """An answer, successful or with one of the `accepted` statuses."""
        given = {name: str(value) for name, value in (parameters or {}).items() if value is not None}
        for left in range(_TRIES, 0, -1):
            with _explained(self.url):
                answer = self._http.request(method, self.url + path, params=given or None, **arguments)
            if answer.is_success or answer.status_code in accepted:
                return answer
            if answer.status_code not in _AGAIN or left == 1:
                break
            self._wait(_pause(answer))
        raise _refused(answer)


class Presigned:
    """S3 at addresses that carry their own permission: no token goes there. Raises CloudError."""

    def __init__(self) -> None:
        self._http = httpx.Client(timeout=_PATIENCE)

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """The bytes of an object, as they come."""
        with _explained("the file"), self._http.stream("GET", url) as answer:
            if not answer.is_success:
                answer.read()
                raise _refused_by_s3("the file cannot be read", answer)
            yield answer.iter_bytes()

    def upload(self, url: str, fields: Mapping[str, str], name: str, file: BinaryIO) -> None:
        """Send a form with the file as its last field, which streams from where it lies."""
        with _explained("the landing bucket"):
            answer = self._http.post(url, data=dict(fields), files={"file": (name, file)})
        if not answer.is_success:
            raise _refused_by_s3(f"{name} was not taken", answer)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise CloudError(f"the answer is no JSON: is API_URL right? ({answer.request.url})") from None


def _pause(answer: httpx.Response) -> float:
    try:
        return min(max(float(answer.headers.get("Retry-After", 1)), 0.0), _LONGEST)
    except ValueError:  # a date
        return _LONGEST


def _refused(answer: httpx.Response) -> Refused:
    """One line: the status, what the problem document says, and what to do about it."""
    status = answer.status_code
    problem = _problem(answer)
    if "detail" not in problem:  # API Gateway's own, or not our API at all
        known = status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
        said = _NO_ROUTE if known else str(problem.get("message") or answer.reason_phrase or "an error")
        return Refused(status, f"{status} {said}")
    reasons = [str(error.get("reason")) for error in problem.get("errors", ())]
    found_by = problem.get("correlation_id")  # of errors on the API's side
    hints = [_REMEDIES.get(status), f"in the logs it is {found_by}" if found_by else None]
    told = [f"{problem.get('title', 'Error')}: {problem['detail']}", *reasons, *filter(None, hints)]
    return Refused(status, f"{status} {'; '.join(told)}")


def _problem(answer: httpx.Response) -> Document:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _refused_by_s3(what: str, answer: httpx.Response) -> Refused:
    """S3 explains itself in XML."""
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", answer.text) for tag in ("Code", "Message"))
    why = f"{code[1]}: {message[1]}" if code and message else answer.reason_phrase
    return Refused(answer.status_code, f"{what}: {answer.status_code} {why}")


@contextmanager
def _explained(whom: str) -> Iterator[None]:
    """Failures of the network as one line."""
    try:
        yield
    except httpx.TimeoutException:
        raise CloudError(f"{whom} does not answer: try again") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        why = error or type(error).__name__
        raise CloudError(f"{whom} cannot be reached: {why}. Is it stopped (make up), or API_URL wrong?") from error
