"""`make serve` runs the API of this checkout with `chalice local`. It uses the stage that `make up` has started."""

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
    """Serve until Ctrl-C or SIGTERM. Return the exit status of `chalice local`.

    Raises CloudError if the stage does not run or the port is taken.
    """
    cloud.check_running()
    if not ports.is_free(port):
        raise CloudError(f"port {port} is in use by another process: choose another one with PORT=…")
    chalice, options = Path(sys.executable).with_name("chalice"), ("--stage", cloud.stage, "--port", str(port))
    # The reloader must not run, because it would also watch the state folder, where new files appear all the time.
    command: list[str | Path] = [chalice, "local", *options, "--no-autoreload"]
    signal.signal(signal.SIGTERM, _end)
    with subprocess.Popen(command, cwd=cloud.source, env=_environment(cloud), start_new_session=True) as server:
        try:
            return server.wait()
        finally:
            server.terminate()  # Ctrl-C does not reach the server, which runs in its own session


def _end(_signal: int, _frame: FrameType | None) -> None:
    """Exit with an exception, so that the `finally` clause ends `chalice local`. SIGTERM would skip this clause."""
    sys.exit(128 + signal.SIGTERM)


def _environment(cloud: Commands) -> dict[str, str]:
    """Return the environment of the deployed functions.

    The env file is not enough, because it is for clients and lacks the functions' database role and the queue. It also
    lacks the settings. If it had them, `make up` in a shell that has read the env file would prefer these settings to
    the kept settings.
    """
    aws = {name: value for name, value in cloud.state.read_env().items() if name.startswith("AWS_")}
    return {**os.environ, **aws, **recorded(cloud.configuration, cloud.stage)}
