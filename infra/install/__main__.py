"""python -m infra.install SET …: install sets of packages into the environments of this checkout.

An old Python reads only this file and `infra/install/__init__.py`, so these two must parse on Python 3.6. If the Python
is too old, this module runs the command with a newer Python from PATH. If PATH has no newer Python, this module prints
one line that says what to do.
"""

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")


def newer() -> str:
    """Return the path of a Python that is new enough, or an empty string.

    Each program is asked for its version, because some programs that version managers put on PATH only print an error.
    """
    question = "import sys; sys.exit(sys.version_info[:2] < {})".format(OLDEST)  # noqa: UP032
    for name in NEWER:
        path = shutil.which(name)
        if path and not subprocess.call([path, "-c", question], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            return path
    return ""


def main() -> int:
    if sys.version_info >= OLDEST:
        from infra.install.command import main as install

        return install(sys.argv[1:])
    ours = "{}.{}.{}".format(*sys.version_info[:3])
    path = newer()
    if path:
        print("  this is Python {}, which is too old: using {}".format(ours, path), flush=True)  # noqa: UP032
        os.execv(path, [path, "-m", "infra.install", *sys.argv[1:]])  # noqa: S606
    print(
        "error: this is Python {}, and 3.11 or newer is needed: install one, then name it: "  # noqa: UP032
        "make PYTHON=python3.12, or PYTHON=python3.12 ./hireflow".format(ours),
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # the installation has not begun yet
        print("interrupted: run the same command again to continue", file=sys.stderr)
        sys.exit(130)
