"""Cut the power of an embedded cloud: all its processes end at once, without a chance to clean up."""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress

from infra.local.daemons import Daemon


def cut(*daemons: Daemon) -> None:
    """Send SIGKILL to these daemons and all their descendants. Return when none of them runs."""
    roots = [pid for daemon in daemons if (pid := daemon.pid()) is not None]
    _signal(roots, signal.SIGSTOP)  # otherwise one of them could start another process while they are listed
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
    found, known = [], set(roots)
    for pid in parents:
        line, above = [pid], parents[pid]
        while above in parents and above not in known:
            line.append(above)
            above = parents[above]
        if above in known:
            found += [one for one in line if one not in known]
            known.update(line)
    return found
