"""Simulates a power cut of an embedded cloud: all its processes end at once, and none of them can clean up."""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress

from infra.local.daemons import Daemon


def cut(*daemons: Daemon) -> None:
    """Send SIGKILL to these daemons and to all their descendants. Return when the daemons have ended."""
    roots = [pid for daemon in daemons if (pid := daemon.pid()) is not None]
    _signal(roots, signal.SIGSTOP)  # a stopped daemon cannot start another process while its descendants are listed
    _signal([*roots, *_descendants(roots)], signal.SIGKILL)
    for daemon in daemons:
        daemon.stop(signal.SIGKILL)


def _signal(pids: Iterable[int], sig: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sig)


def _descendants(roots: list[int]) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.stdout.splitlines())}
    descendants, family = [], set(roots)
    for pid in parents:
        line, ancestor = [pid], parents[pid]
        while ancestor in parents and ancestor not in family:
            line.append(ancestor)
            ancestor = parents[ancestor]
        if ancestor in family:
            descendants += [member for member in line if member not in family]
            family.update(line)
    return descendants
