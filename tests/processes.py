"""Finds the workers of an embedded AWS: the processes that run functions."""

import re
import subprocess
from collections.abc import Iterator

from infra.local.runtime import bootstrap

_COMMAND = re.compile(rf"{re.escape(bootstrap.__file__)} \d+ ([\w-]+)$")


def workers_of(aws: int | None) -> Iterator[tuple[int, str]]:
    """Yield (pid, the function's name in Lambda) of each worker. `aws` is the pid of the embedded AWS.

    A worker is a child of its function's template, which is a child of the embedded AWS.
    """
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    processes = [(int(pid), int(parent), command) for pid, parent, command in _fields(listed.stdout)]
    templates = {pid for pid, parent, command in processes if parent == aws and _COMMAND.search(command)}
    for pid, parent, command in processes:
        if parent in templates and (match := _COMMAND.search(command)):
            yield pid, match[1]


def _fields(listed: str) -> Iterator[list[str]]:
    return (line.split(None, 2) for line in listed.splitlines())
