"""Whether a stage that was just deployed does what it is there for, seen from outside."""

import json
import time
from http import HTTPStatus
from typing import Any

from cli.api import Api
from cli.errors import NoAnswer, Refused
from cli.http import Response
from cli.statuses import FINAL
from infra.deploy import driver
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.locks import attempts

_SETTLED = 90  # seconds until a new API answers everywhere
_LOADED = 180  # seconds for a file of no rows
_FILE = b"none,Smoke test\n"  # a row that is rejected, for its id: nothing is changed by it


def smoke(target: Target, *, write: bool) -> None:
    """Ask for the stage's health, with a token that ends with this. With `write` also have a file loaded, of one row
    that is no department. Raises CloudError with what is not well."""
    made = driver.invoke(target, "tokens", {"action": "create", "role": "operator", "note": "smoke test"})
    api = Api(driver.api_url(target), made["token"])
    try:
        _check_health(api)
        if write:
            _check_load(target, api)
    finally:
        api.close()
        driver.invoke(target, "tokens", {"action": "revoke", "token": made["id"]})


def _check_health(api: Api) -> None:
    response = _asked(api, "/health")
    if not response.ok:
        raise CloudError(f"the stage is not well: {response.text}")


def _check_load(target: Target, api: Api) -> None:
    key = f"smoke/departments_{time.time_ns()}.csv"
    target.client("s3").put_object(Bucket=target.landing, Key=key, Body=_FILE)
    source, deadline = f"s3://{target.landing}/{key}", time.monotonic() + _LOADED
    while time.monotonic() < deadline:
        loads = _asked(api, "/loads", dataset="departments", limit=20).json()["loads"]
        found = [load for load in loads if load["source"] == source and load["status"] in FINAL]
        if found:
            if (found[0]["status"], found[0]["received"], found[0]["rejected"]) != ("succeeded", 1, 1):
                raise CloudError(f"a file was not loaded as it should be: {json.dumps(found[0])}")
            return
        time.sleep(1)
    raise CloudError(f"{source} was not loaded within {_LOADED} seconds")


def _asked(api: Api, path: str, **parameters: Any) -> Response:
    """An answer of an API that may be so new that its gateway does not know it everywhere (403, 404)."""
    for again in attempts(_SETTLED):
        try:
            return api.send("GET", path, parameters, accepted=(HTTPStatus.SERVICE_UNAVAILABLE,))
        except Refused as error:
            if error.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                raise
            again()
        except NoAnswer:
            again()
    raise AssertionError
