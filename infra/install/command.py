"""The command behind `infra/install.sh`."""

import os
from collections.abc import Sequence

from infra import venv
from infra.commandline import exit_status, report
from infra.errors import CloudError
from infra.install.failures import of_system
from infra.install.sets import POSTGRES, environments, held, wants_postgres


def main(names: Sequence[str]) -> int:
    """Install the sets `names`, and return the exit status."""
    return exit_status(lambda: _install(names))


def _install(names: Sequence[str]) -> None:
    wanted = [name for name in names if name != POSTGRES or wants_postgres(os.environ)]
    venv.ensure(environments(venv.ROOT, wanted), report)
    asked = venv.ROOT / ".venv" / "asked"
    try:
        asked.mkdir(exist_ok=True)
        for name in held(names):
            (asked / name).touch()  # infra/install.sh compares the times of this file and the lock file
    except OSError as error:
        raise CloudError(of_system(error, asked)) from error
