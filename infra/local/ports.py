"""Free TCP ports of 127.0.0.1."""

import os
import random
import socket

from infra.errors import CloudError

HOST = "127.0.0.1"
_RANGE = range(20_000, 30_000)  # below the ports that systems lend to outgoing connections: ours stay free while down


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Some free port."""
    for port in random.sample(_RANGE, 200):
        if is_free(port):
            return port
    raise CloudError("no free port was found")


def fixed_port(variable: str) -> int | None:
    """The port that an environment variable fixes, if it is set."""
    value = os.environ.get(variable)
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65_536):
        raise CloudError(f"{variable}={value} is not a port number")
    return int(value)


def choose(variable: str, remembered: int | None) -> int:
    """The port to start on: the fixed one, else the remembered one while it is free, else another."""
    fixed = fixed_port(variable)
    if fixed is not None:
        if not is_free(fixed):
            raise CloudError(f"port {fixed} ({variable}) is in use by another process")
        return fixed
    return remembered if remembered and is_free(remembered) else free_port()
