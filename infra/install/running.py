"""uv at work: its lines become progress, its end a result or a failure that is told in a line."""

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
    """uv at work on one environment; what it says becomes progress."""

    def __init__(
        self,
        environment: Environment,
        command: list[str | Path],
        settings: dict[str, str],
        locks: Sequence[int],
        progress: Progress,
    ) -> None:
        self._environment, self._progress = environment, progress
        self._installation, self._said = Installation(environment.what), ""
        self._process = subprocess.Popen(
            command,
            env=settings,
            pass_fds=locks,  # uv, too, keeps others out while it runs, even if we are killed
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
                self._said += line
                if reached := self._installation.hear(line):
                    self._progress.say(reached)

    def join(self) -> None:
        self._reader.join()
        self._process.wait()

    def end(self) -> None:
        """Stop it, if it still works."""
        if self._process.poll() is None:
            self._process.terminate()
        self.join()

    @property
    def changed_nothing(self) -> bool:
        """Whether it failed before it touched the environment: it has all files first."""
        return self._process.returncode > 0 and failures.comes_first(self._said)

    def check(self) -> None:
        """Raises CloudError if it failed."""
        if self._process.returncode != 0:
            raise CloudError(failures.explain(self._said, self._environment.home))
