"""`make serve`: the API of this checkout, served by `chalice local` on what `make up` has started."""

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
    """Run until Ctrl-C or SIGTERM; returns the exit status.

    Raises CloudError if the stage does not run, or the port is taken."""
    cloud.check_running()
    if not ports.is_free(port):
        raise CloudError(f"port {port} is in use by another process: choose another one, PORT=…")
    chalice, options = Path(sys.executable).with_name("chalice"), ("--stage", cloud.stage, "--port", str(port))
    # Its reloader would watch the state folder, too, where functions are unpacked all the time.
    command: list[str | Path] = [chalice, "local", *options, "--no-autoreload"]
    signal.signal(signal.SIGTERM, _end)
    with subprocess.Popen(command, cwd=cloud.source, env=_environment(cloud), start_new_session=True) as server:
        try:
            return server.wait()
        finally:
            server.terminate()  # it is in no terminal that could send it Ctrl-C


def _end(_signal: int, _frame: FrameType | None) -> None:
    """Leave by way of the `finally` that ends `chalice local`: by itself, SIGTERM would end this process alone."""
    sys.exit(128 + signal.SIGTERM)


def _environment(cloud: Commands) -> dict[str, str]:
    """What the deployed functions have. `.local/env` has less: it is for clients, which know neither the role of the
    functions nor the queue, and a setting in it would go before the kept one at the next `make up`."""
    aws = {name: value for name, value in cloud.state.read_env().items() if name.startswith("AWS_")}
    return {**os.environ, **aws, **recorded(cloud.configuration, cloud.stage)}
