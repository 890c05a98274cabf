"""Runs uv, shows its progress, and explains its failure in one line."""

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from infra.errors import CloudError
from infra.install import failures
from infra.install.progress import Installation
from infra.install.sets import Environment
from infra.progress import Progress


class Run:
    """Runs uv to fill one environment, and passes messages about uv's output to `progress`."""

    def __init__(
        self,
        environment: Environment,
        command: list[str | Path],
        settings: dict[str, str],
        locks: Sequence[int],
        progress: Progress,
    ) -> None:
        self._environment, self._progress = environment, progress
        self._installation, self._output = Installation(environment.what), ""
        self._process = subprocess.Popen(
            command,
            env=settings,
            pass_fds=locks,  # uv holds the locks, too: if this process is killed, they stay locked until uv ends
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout, self._progress.doing(lambda: str(self._installation)):
            for line in self._process.stdout:
                self._output += line
                if reached := self._installation.hear(line):
                    self._progress.say(reached)

    def join(self) -> None:
        self._reader.join()
        self._process.wait()

    def end(self) -> None:
        """Stop uv if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
        self.join()

    @property
    def changed_nothing(self) -> bool:
        """Return whether uv failed before it changed the environment, as when a download fails."""
        return self._process.returncode > 0 and failures.comes_first(self._output)

    def check(self) -> None:
        """Raise CloudError if uv failed."""
        if self._process.returncode != 0:
            raise CloudError(failures.explain(self._output, self._environment.home))
