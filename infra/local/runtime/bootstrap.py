"""Runs in the processes of a function. This script uses only the standard library, so that a process loads no other
packages than those that the function imports.

The first process of a function, its template, imports the function's code and handles no event. Whenever the server
needs a worker, the template forks one. So a worker starts within milliseconds, and shares memory with the template.
Each worker has a socket of its own, from which it reads one event after the other.

All messages are frames. A frame consists of one letter, the length of the content, and the content.
"""

import gc
import importlib
import io
import json
import os
import random
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import Any, TextIO

HEAD = struct.Struct(">cI")
START, READY, FAILED = b"S", b"R", b"X"  # between the server and a template
FORK, FORKED, IMPORT = b"F", b"P", b"M"
EVENT, LINES, MODULES, BODY, RESULT, ERROR = b"E", b"L", b"M", b"B", b"A", b"X"  # between the server and a worker
_LONG = 16 * 1024  # characters; a body that is longer has a frame of its own
# On macOS, a process that uses system libraries cannot fork safely. There, the template becomes the worker.
FORKS = sys.platform == "linux"
Handler = Callable[[Any, Any], Any]
Message = dict[str, Any]


def send(connection: socket.socket, kind: bytes, content: bytes = b"") -> None:
    connection.sendall(HEAD.pack(kind, len(content)) + content)


def receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return (kind, content) of the next frame. Raises EOFError at the end of the connection."""
    kind, length = HEAD.unpack(_exactly(connection, HEAD.size))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        piece = connection.recv(length - len(content))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)


class Output(io.TextIOBase):
    """Replaces the standard output and the standard error of a function's code.

    In a worker, it sends each complete line to the server, which adds the line to the log of the function. In the
    template, it prints the lines to `before`. Several threads of a function may write at the same time, also while the
    worker sends a result.
    """

    def __init__(self, before: TextIO) -> None:
        self.connection: socket.socket | None = None
        self._before, self._line = before, io.StringIO()
        self._lock = RLock()  # a frame longer than the socket's buffer is sent in pieces, which must stay together

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        complete, newline, rest = text.rpartition("\n")
        with self._lock:
            if newline:
                self._send_lines(self._taken() + complete)
            self._line.write(rest)
        return len(text)

    def finish(self) -> None:
        """Send the last line even if it has no newline."""
        with self._lock:
            if line := self._taken():
                self._send_lines(line)

    def send(self, kind: bytes, content: bytes) -> None:
        """Send a frame to the server. No line of another thread comes between its pieces."""
        assert self.connection is not None
        with self._lock:
            send(self.connection, kind, content)

    def _taken(self) -> str:
        """Return the beginning of the present line, and forget it."""
        line, self._line = self._line.getvalue(), io.StringIO()
        return line

    def _send_lines(self, lines: str) -> None:
        if self.connection is None:
            print(lines, file=self._before, flush=True)
            return
        with suppress(OSError):  # the server has stopped
            send(self.connection, LINES, lines.encode("utf-8", "backslashreplace"))


class Context:
    """The context of an invocation: the second argument of a handler, with the attributes that Lambda sets."""

    identity = None
    client_context = None

    def __init__(self, function: Message, request_id: str) -> None:
        self.function_name = function["name"]
        self.function_version = function["version"]
        self.memory_limit_in_mb = function["memory"]
        self.invoked_function_arn = function["arn"]
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{function['name']}"
        self.log_stream_name = function["log_stream"]
        self._deadline = time.monotonic() + function["timeout"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def serve(connection: socket.socket, handler: Handler, function: Message, output: Output) -> None:
    """Handle events until the server closes the connection."""
    output.connection = connection
    known = len(sys.modules)
    while True:
        try:
            _, content = receive(connection)
        except EOFError:
            return
        message = json.loads(content)
        kind, result, body = _handle(handler, message["event"], Context(function, message["request_id"]))
        output.finish()
        if len(sys.modules) != known:
            known = len(sys.modules)
            output.send(MODULES, json.dumps(list(sys.modules)).encode())
        if body is not None:
            output.send(BODY, body)
        output.send(kind, result)


def _handle(handler: Handler, event: Any, context: Context) -> tuple[bytes, bytes, bytes | None]:
    """Return the kind and the content of the frame with the result, and the body of a response if it has a frame of its
    own."""
    try:
        result, body = _apart(handler(event, context))
        return RESULT, json.dumps(result).encode(), body
    except Exception as error:  # as Lambda does, turn each error into a result
        lines = traceback.format_exc()
        print(lines)
        said = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": lines.splitlines()}
        return ERROR, json.dumps(said).encode(), None


def _apart(result: Any) -> tuple[Any, bytes | None]:
    """Return a response to API Gateway without its long body, and the body. Return any other result unchanged.

    A body that is JSON itself has thousands of quotes. As a text within JSON, it would take longer to escape and to
    parse than everything else of a request.
    """
    body = result.get("body") if isinstance(result, dict) and "statusCode" in result else None
    if not isinstance(body, str) or len(body) < _LONG:
        return result, None
    try:
        return {**result, "body": None}, body.encode()
    except UnicodeEncodeError:  # only JSON can carry surrogates, and it joins the two halves of a character
        return result, None


def imported(function: Message) -> Handler:
    """Import a function's handler, and the modules that earlier workers of this function have needed."""
    sys.path.insert(0, function["code"])
    module, _, name = function["handler"].rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    preload(function["modules"])
    return handler


def preload(modules: list[str]) -> None:
    for name in modules:
        if name not in sys.modules:
            with suppress(Exception):  # the worker that needs the module gets the error
                importlib.import_module(name)


def run_template(control: socket.socket) -> None:
    """Fork workers and import modules when the server requests this, until the server closes the connection."""
    _, content = receive(control)
    function = json.loads(content)
    output = Output(sys.__stderr__ or sys.stderr)
    sys.stdout = sys.stderr = output  # before the import, because a new logger keeps the stream that it finds
    try:
        handler = imported(function)
    except BaseException as error:
        traceback.print_exc()
        send(control, FAILED, json.dumps([type(error).__name__, str(error)]).encode())
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # then the system removes the workers that have ended
    send(control, READY)
    while True:
        kind, content, descriptors = _request(control)
        if kind == IMPORT:
            preload(json.loads(content))
            continue
        worker = socket.socket(fileno=descriptors[0])
        if _becomes_worker(control, forks=function["forks"]):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            function["log_stream"] = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"] = content.decode()
            serve(worker, handler, function, output)
            return
        worker.close()


def _request(control: socket.socket) -> tuple[bytes, bytes, list[int]]:
    """Return the kind, the content and the file descriptors of the next frame from the server.

    Raises EOFError at the end of the connection.
    """
    head, descriptors, _, _ = socket.recv_fds(control, HEAD.size, 1)
    if not head:
        raise EOFError
    kind, length = HEAD.unpack(head + _exactly(control, HEAD.size - len(head)))
    return kind, _exactly(control, length), descriptors


def _becomes_worker(control: socket.socket, *, forks: bool) -> bool:
    """Fork a worker, and send its pid to the server. Return whether this process is now the worker.

    Without `forks`, this process itself becomes the worker.
    """
    if not forks:
        send(control, FORKED, str(os.getpid()).encode())
        return True
    gc.freeze()  # otherwise the worker's garbage collector would write to the shared memory, and so copy it
    pid = os.fork()
    if pid == 0:
        random.seed()
        return True
    send(control, FORKED, str(pid).encode())
    return False


if __name__ == "__main__":
    # The script's own folder must not hide modules of the function.
    sys.path.pop(0)
    with suppress(EOFError, ConnectionError):  # the server has stopped
        run_template(socket.socket(fileno=int(sys.argv[1])))
