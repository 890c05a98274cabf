"""Describes in words which servers of a stage run on this machine."""

from collections.abc import Mapping

RUNNING = "running"
ABOUT_TOKENS = {True: "tokens are required", False: "no tokens are required"}


def of(servers: Mapping[str, str | None], deployed: Mapping[str, str] | None, make_up: str) -> dict[str, str]:
    """Return the state of the stage, its servers and its API.

    `servers` has the address of each server, or None if the server does not run. `deployed` is the env file of the last
    `make up` that succeeded, or None if there is none.
    """
    running = [name for name, at in servers.items() if at]
    shown = {name: at or "stopped" for name, at in servers.items()}
    if deployed:
        # Without Postgres, the API still responds, with 503.
        shown["API"] = deployed["API_URL"] if servers.get("AWS") else "stopped"
    return {"state": _state(servers, running, deployed is not None, make_up), **shown}


def _state(servers: Mapping[str, str | None], running: list[str], deployed: bool, make_up: str) -> str:
    if not running:
        return f"not running: {make_up}"
    if len(running) < len(servers):
        stopped = " and ".join(name for name in servers if name not in running)
        return f"only half of the stage runs, {stopped} is stopped: {make_up}"
    return RUNNING if deployed else f"nothing is deployed yet: {make_up}"
