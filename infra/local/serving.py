"""`make serve`: run the API of this checkout with `chalice local`, against the stage that `make up` has started."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from infra.errors import CloudError
from infra.local import ports
from infra.local.commands import Commands
from infra.settings.adopted import recorded


def serve(cloud: Commands, port: int) -> int:
    """Serve until Ctrl-C or SIGTERM. Returns the exit status of `chalice local`.

    Raises CloudError if the stage does not run or the port is taken.
    """
    cloud.check_running()
    if not ports.is_free(port):
        raise CloudError(f"port {port} is in use by another process: choose another one with PORT=…")
    chalice, options = Path(sys.executable).with_name("chalice"), ("--stage", cloud.stage, "--port", str(port))
    # Without the reloader: it would watch the state folder too, where new files of functions appear all the time.
    command: list[str | Path] = [chalice, "local", *options, "--no-autoreload"]
    signal.signal(signal.SIGTERM, _end)
    with subprocess.Popen(command, cwd=cloud.source, env=_environment(cloud), start_new_session=True) as server:
        try:
            return server.wait()
        finally:
            server.terminate()  # it runs in its own session, so Ctrl-C does not reach it


def _end(_signal: int, _frame: FrameType | None) -> None:
    """Exit with an exception, so that the `finally` clause ends `chalice local`. SIGTERM alone would skip it."""
    sys.exit(128 + signal.SIGTERM)


def _environment(cloud: Commands) -> dict[str, str]:
    """Return the environment of the deployed functions.

    The env file is not enough. It is for clients, so it lacks the functions' database role and the queue. It lacks the
    settings too: the next `make up` would prefer a setting in it to the kept one.
    """
    aws = {name: value for name, value in cloud.state.read_env().items() if name.startswith("AWS_")}
    return {**os.environ, **aws, **recorded(cloud.configuration, cloud.stage)}
