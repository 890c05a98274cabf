"""Becomes a daemon: records this process, drops privileges, then replaces itself by the daemon's command (exec).

An exec keeps the pid and the start time, so the record of this script is also that of the daemon. The record is
complete before the daemon exists, so the record is not lost if the starting command crashes. The script imports
only the standard library, so that it starts in milliseconds.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path


def started(pid: int) -> str | None:
    """Return the start time of a process, in the system's format. No two processes have the same pid and start time."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[19]  # field 22; an earlier field, the process's name, may contain spaces
    except (OSError, IndexError):
        if sys.platform == "linux":
            return None
    ps = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ps.stdout.strip() or None


def die_with(parent: int, sig: signal.Signals) -> None:
    """Let the kernel send `sig` to this process when the parent dies (Linux). The setting survives the exec."""
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(sig), 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the call
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--parent", type=int)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    args.record.write_text(json.dumps({"pid": os.getpid(), "started": started(os.getpid())}))
    if args.uid is not None:
        os.setgroups([])
        os.setgid(args.gid)
        os.setuid(args.uid)
    if args.parent is not None:  # only after setuid, which would clear this setting
        die_with(args.parent, signal.SIGINT)
    os.execv(args.command[0], args.command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
