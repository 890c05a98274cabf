"""Become a daemon: record who we are, drop privileges, then exec the command.

Run as a script between the starter and the daemon, because an exec keeps pid and start time: the
record is complete before the daemon exists, so that no crash of the starter can lose track of it.
Standard library only and no import of this package, so that it starts in milliseconds.
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
    """When a process started, in whatever form the system tells; with the pid it names one process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[19]  # field 22; the name before it may hold spaces
    except (OSError, IndexError):
        if sys.platform == "linux":
            return None
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


def die_with(parent: int, sig: signal.Signals) -> None:
    """Have the kernel send us `sig` when the parent dies (Linux); the setting survives the exec."""
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(sig), 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
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
    if args.parent is not None:  # after setuid, which clears it
        die_with(args.parent, signal.SIGINT)
    os.execv(args.command[0], args.command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
