"""Opens the socket under a connection to Postgres, with TLS and probes that notice a vanished server."""

import select
import socket
import ssl
from functools import cache

# With TCP_NODELAY, each message is sent at once. Without it, a short message waits for the acknowledgement of the
# message before it, which Postgres delays by 40 ms. A COPY of a few rows consists of such messages.
# With the other options, a function notices within half a minute that a server has vanished. Some operating systems
# lack some of the options.
_OPTIONS = (
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)


class Wire:
    """The socket under a connection. `timeout` is in seconds and limits each read and write. Raises OSError if the
    server cannot be reached.

    The driver uses this object as the SSL context, so this object also gets the socket that TLS creates. Before each
    statement, `Session` sets the timeout of that socket to the time that is left. Otherwise, the short timeout for
    connecting would end a statement that takes minutes, for example a merge or a wait for a lock.
    """

    def __init__(self, host: str, port: int, timeout: float, ca: str) -> None:
        self._ca = ca
        self.socket = socket.create_connection((host, port), timeout)
        for level, name, value in _OPTIONS:
            if hasattr(socket, name):
                self.socket.setsockopt(level, getattr(socket, name), value)

    def wrap_socket(self, sock: socket.socket, server_hostname: str) -> ssl.SSLSocket:
        wrapped = verifying_tls(self._ca).wrap_socket(sock, server_hostname=server_hostname)
        self.socket = wrapped
        return wrapped

    def is_quiet(self) -> bool:
        """Return whether the server has sent nothing that was not read yet. The end of a connection also counts as
        sent."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)


@cache
def verifying_tls(ca: str) -> ssl.SSLContext:
    """Return a context that trusts only the authorities in the file `ca`, or those of the system if `ca` is empty.

    The result is cached, because reading all authorities of the system takes 40 ms.
    """
    return ssl.create_default_context(cafile=ca or None)
