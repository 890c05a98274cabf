"""Tests a deployed stage from outside, as a client (smoke test)."""

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

_SETTLED = 90  # seconds until a new API responds everywhere
_LOADED = 180  # seconds in which a tiny file must be loaded
# Its only row waits for a department and a job that do not exist. So this file changes no table, and its load succeeds:
# a load of which no row can be loaded fails, and would set off an alarm.
_DATASET, _FILE = "hired_employees", b"2147483647,Smoke test,2000-01-01,2147483647,2147483647\n"


def smoke(target: Target, *, write: bool) -> None:
    """Check the stage's health with a temporary token. With `write`, also load a file that changes no table.

    Raises CloudError if something is wrong.
    """
    token = driver.invoke(target, "tokens", {"action": "create", "role": "operator", "note": "smoke test"})
    api = Api(driver.api_url(target), token["token"])
    try:
        _check_health(api)
        if write:
            _check_load(target, api)
    finally:
        api.close()
        driver.invoke(target, "tokens", {"action": "revoke", "token": token["id"]})


def _check_health(api: Api) -> None:
    response = _get(api, "/health")
    if not response.ok:
        raise CloudError(f"the stage is unhealthy: {response.text}")


def _check_load(target: Target, api: Api) -> None:
    key = f"smoke/{_DATASET}_{time.time_ns()}.csv"
    target.client("s3").put_object(Bucket=target.landing, Key=key, Body=_FILE)
    source, deadline = f"s3://{target.landing}/{key}", time.monotonic() + _LOADED
    while time.monotonic() < deadline:
        loads = _get(api, "/loads", dataset=_DATASET, limit=20).json()["loads"]
        found = [load for load in loads if load["source"] == source and load["status"] in FINAL]
        if found:
            if (found[0]["status"], found[0]["received"], found[0]["rejected"]) != ("succeeded", 1, 1):
                raise CloudError(f"the load of a test file had a wrong outcome: {json.dumps(found[0])}")
            return
        time.sleep(1)
    raise CloudError(f"{source} was not loaded within {_LOADED} seconds")


def _get(api: Api, path: str, **parameters: Any) -> Response:
    """Send a GET. Retry after status 403 or 404, because API Gateway does not know a new API everywhere at once."""
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
