"""Whether a stage that was just deployed does what it is there for, seen from outside."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from infra.deploy import driver
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.locks import attempts

_PATIENCE = 60  # seconds for one answer
_SETTLED = 90  # seconds until a new API answers everywhere
_LOADED = 180  # seconds for a file of no rows
_FINAL = ("succeeded", "failed", "skipped")
_FILE = b"none,Smoke test\n"  # a row that is rejected, for its id: nothing is changed by it


def smoke(target: Target, *, write: bool) -> None:
    """Ask for the stage's health, with a token that ends with this. With `write` also have a file loaded, of one row
    that is no department. Raises CloudError with what is not well."""
    made = driver.invoke(target, "tokens", {"action": "create", "role": "operator", "note": "smoke test"})
    try:
        _check_health(target, made["token"])
        if write:
            _check_load(target, made["token"])
    finally:
        driver.invoke(target, "tokens", {"action": "revoke", "token": made["id"]})


def _check_health(target: Target, token: str) -> None:
    status, body = _get(target, "/health", token)
    if status != 200:
        raise CloudError(f"the stage is not well: {json.dumps(body)}")


def _check_load(target: Target, token: str) -> None:
    key = f"smoke/departments_{time.time_ns()}.csv"
    target.client("s3").put_object(Bucket=target.landing, Key=key, Body=_FILE)
    source, deadline = f"s3://{target.landing}/{key}", time.monotonic() + _LOADED
    while time.monotonic() < deadline:
        _, body = _get(target, "/loads?dataset=departments&limit=20", token)
        found = [load for load in body.get("loads", ()) if load["source"] == source and load["status"] in _FINAL]
        if found:
            if (found[0]["status"], found[0]["received"], found[0]["rejected"]) != ("succeeded", 1, 1):
                raise CloudError(f"a file was not loaded as it should be: {json.dumps(found[0])}")
            return
        time.sleep(1)
    raise CloudError(f"{source} was not loaded within {_LOADED} seconds")


def _get(target: Target, path: str, token: str) -> tuple[int, Any]:
    request = urllib.request.Request(driver.api_url(target) + path, headers={"Authorization": f"Bearer {token}"})
    for again in attempts(_SETTLED):
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # nosec B310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in (403, 404):  # by the gateway itself, before it knows a new API
                    return error.code, json.load(error)
                again()
        except OSError:
            again()
    raise AssertionError
