"""Free TCP ports of 127.0.0.1."""

import errno
import os
import random
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from infra.errors import CloudError

HOST = "127.0.0.1"
_RANGE = range(20_000, 30_000)  # below the ports that systems lend to outgoing connections: ours stay free while down
_FIRST_OPEN = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")  # of Linux
Bind = Callable[[int], None]


def bind(port: int) -> None:
    """Listen on the port for a moment. Raises OSError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
        probe.bind((HOST, port))


def bind_unprivileged(port: int) -> None:
    """The same for a server that gives up the rights of root."""
    if os.geteuid() == 0 and port < _first_open():
        raise PermissionError(errno.EACCES, "only root may listen there")
    bind(port)


def is_free(port: int, bind: Bind = bind) -> bool:
    """Whether a server could listen on the port now."""
    try:
        bind(port)
    except OSError:
        return False
    return True


def free_port(others: Collection[int] = ()) -> int:
    """Some free port that is none of `others`."""
    for port in random.sample(_RANGE, 200):
        if port not in others and is_free(port):
            return port
    raise CloudError("no free port was found")


def check(variable: str, port: int, bind: Bind = bind, ours: Collection[int] = ()) -> None:
    """Raises CloudError if no server could listen on the port that a variable fixes. Servers on `ours` will move."""
    try:
        bind(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and port in ours:
            return
        why = {
            errno.EADDRINUSE: "is in use by another process",
            errno.EACCES: f"needs the rights of root, as every port below {_first_open()} does",
        }.get(error.errno or 0, f"cannot be used: {error.strerror}")
        raise CloudError(
            f"port {port} ({variable}) {why}: choose another one, {variable}=…, or any free one, RESET={variable}"
        ) from error


def choose(
    variable: str, fixed: int | None, remembered: int | None, bind: Bind = bind, others: Collection[int] = ()
) -> int:
    """The port to start on: the fixed one, else the remembered one while it is free, else another.

    `others` are fixed for other servers, so they are not free.
    """
    if fixed is not None:
        check(variable, fixed, bind)
        return fixed
    if remembered and remembered not in others and is_free(remembered, bind):
        return remembered
    return free_port(others)


def _first_open() -> int:
    try:
        return int(_FIRST_OPEN.read_text())
    except (OSError, ValueError):
        return 1024
