"""Makes the text of a response's body, and refuses to send a body that Lambda would not pass on."""

import json
import logging
import re

from chalice.app import Response, handle_extra_types

from chalicelib.core.answer_size import MAX_ANSWER, fits
from chalicelib.core.errors import HireflowError

TOO_LARGE = (
    f"the response would be larger than {MAX_ANSWER / 1e6:g} MB; the request itself was carried out:"
    " `GET /loads` shows what was stored"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_log = logging.getLogger("hireflow.api")


def as_json(value: object) -> str:
    """Return a value as JSON without ASCII escapes, so that the text has as many bytes as the client receives.

    Only a lone surrogate is escaped, because it cannot be encoded. A client can send one as an escape sequence, so a
    response may have to quote it.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=handle_extra_types)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def sendable(response: Response) -> Response:
    """Return the response with a body that is a text or bytes. Raises HireflowError if the text is too large.

    Every route limits its own responses, and says what they leave out. This check finds a response that is too large
    nevertheless. Without the check, the client would get a 502 without any explanation.
    """
    if not isinstance(response.body, str | bytes):
        response.body = as_json(response.body)
    if isinstance(response.body, str) and not fits(response.body):
        _log.error("the response is too large", extra={"status": response.status_code})
        raise HireflowError(TOO_LARGE)
    return response
