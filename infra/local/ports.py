"""Chooses TCP ports of 127.0.0.1."""

import errno
import os
import random
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from infra.errors import CloudError

HOST = "127.0.0.1"
_RANGE = range(20_000, 30_000)  # below the ephemeral ports, so that no connection takes a stopped server's port
_FIRST_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")  # Linux
Bind = Callable[[int], None]


def bind(port: int) -> None:
    """Bind the port and release it at once. Raises OSError if this is not possible."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, so a port in TIME_WAIT is free
        probe.bind((HOST, port))


def bind_unprivileged(port: int) -> None:
    """Do the same as `bind`, but for a server that does not run as root. Raises OSError."""
    if os.geteuid() == 0 and port < _first_unprivileged():
        raise PermissionError(errno.EACCES, "only root may listen on this port")
    bind(port)


def is_free(port: int, bind: Bind = bind) -> bool:
    """Return whether a server could listen on the port now."""
    try:
        bind(port)
    except OSError:
        return False
    return True


def free_port(others: Collection[int] = ()) -> int:
    """Return a random free port that is not one of `others`. Raises CloudError."""
    for port in random.sample(_RANGE, 200):
        if port not in others and is_free(port):
            return port
    raise CloudError("no free port was found")


def check(variable: str, port: int, bind: Bind = bind, ours: Collection[int] = ()) -> None:
    """Check that a server can listen on the port that a setting fixes. Raises CloudError.

    A port in `ours` counts as free: the server on it will move.
    """
    try:
        bind(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and port in ours:
            return
        why = {
            errno.EADDRINUSE: "is in use by another process",
            errno.EACCES: f"needs the rights of root, as every port below {_first_unprivileged()} does",
        }.get(error.errno or 0, f"cannot be used: {error.strerror}")
        raise CloudError(
            f"port {port} ({variable}) {why}: choose another with {variable}=…, or any free port with RESET={variable}"
        ) from error


def choose(
    variable: str, fixed: int | None, remembered: int | None, bind: Bind = bind, others: Collection[int] = ()
) -> int:
    """Return the port to start on: the fixed one, else the remembered one if it is free, else a random free one.

    The ports in `others` count as taken, because settings fix them for other servers. Raises CloudError.
    """
    if fixed is not None:
        check(variable, fixed, bind)
        return fixed
    if remembered and remembered not in others and is_free(remembered, bind):
        return remembered
    return free_port(others)


def _first_unprivileged() -> int:
    try:
        return int(_FIRST_UNPRIVILEGED.read_text())
    except (OSError, ValueError):
        return 1024
