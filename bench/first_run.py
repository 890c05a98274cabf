"""python -m bench.first_run [COMMAND …]: measure the time, downloads and disk space that commands take at the first
run: with an empty home folder and no cache.

Each command runs in a copy of this checkout. The numbers in docs/commands.md come from here. The program measures:

- the seconds that the command takes;
- the longest time without a line of output;
- the bytes that are downloaded, counted in a proxy through which every installer connects;
- the number of installed packages;
- the disk space of the checkout and of the caches in the home folder.
"""

import asyncio
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import HOST
from infra.venv import ROOT

COMMANDS = ("make demo", "./hireflow --help", "make venv-deploy", "make venv-develop")
LIMITS = {"make demo": 60.0}  # the command may take at most these seconds
SILENCE = 5.0  # seconds; a command must print a line at least this often
_LEFT = shutil.ignore_patterns(".git", ".venv*", ".local*", ".*_cache", "__pycache__", ".hypothesis", "node_modules")
_KEPT = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class Cost:
    """What one command costs. Sizes are in bytes, times in seconds."""

    command: str
    status: int
    seconds: float
    silence: float
    before: str  # the line that was printed before the longest silence
    downloaded: int
    packages: int
    disk: int

    def __str__(self) -> str:
        sizes = f"{self.downloaded / 1e6:5.0f} MB downloaded {self.disk / 1e6:5.0f} MB on disk"
        return (
            f"{self.command:<20} {self.seconds:6.1f} s  {sizes}  {self.packages:3} packages  "
            f"longest silence {self.silence:.1f} s after {self.before.strip()!r}"
        )

    @property
    def good(self) -> bool:
        return self.status == 0 and self.silence <= SILENCE and self.seconds <= LIMITS.get(self.command, float("inf"))


class Meter:
    """A proxy for TLS connections. It counts the bytes that it receives from the servers."""

    def __init__(self) -> None:
        self.received = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, HOST, 0), self._loop).result(10)
        self.address = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            host, _, port = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().rpartition(":")
            upstream, downstream = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(self._pass(reader, downstream), self._pass(upstream, writer, counted=True))
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        with suppress(OSError):
            while block := await reader.read(1 << 16):
                self.received += len(block) if counted else 0
                writer.write(block)
                await writer.drain()
        writer.close()


def measure(command: str) -> Cost:
    """Run a command in a copy of this checkout, with an empty home folder. Return its cost."""
    with _copy() as folder:
        meter, home = Meter(), folder / "home"
        home.mkdir()
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"HOME": str(home), "HTTPS_PROXY": meter.address, "PYTHON": sys._base_executable}  # type: ignore[attr-defined]
        checkout = folder / "hireflow"
        try:
            status, seconds, silence, before = _watch(command, checkout, environment)
            packages = len(list(checkout.glob(".venv*/**/site-packages/*.dist-info")))
            return Cost(command, status, seconds, silence, before, meter.received, packages, _disk(folder))
        finally:
            if (checkout / ".local").exists():
                stop = [shutil.which("make") or "make", "-s", "clean"]
                subprocess.run(stop, cwd=checkout, env=environment, capture_output=True, check=False)


def _watch(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, float, float, str]:
    """Run a command. Return its exit status, the seconds it took, the longest time without output in seconds, and the
    last line before that silence."""
    start = last = time.monotonic()
    longest, before, line = 0.0, "", "the start"
    with (
        subprocess.Popen(
            command.split(), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process,
        selectors.DefaultSelector() as ready,
    ):
        assert process.stdout
        ready.register(process.stdout, selectors.EVENT_READ)
        while True:
            ready.select()
            block = os.read(process.stdout.fileno(), 1 << 16)
            now = time.monotonic()
            if now - last > longest:
                longest, before = now - last, line
            if not block:
                break
            last, line = now, block.decode(errors="replace").rstrip().rpartition("\n")[2]
            sys.stderr.write(block.decode(errors="replace"))
        process.wait()
    return process.returncode, now - start, longest, before


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hireflow-first-") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(ROOT, Path(folder) / "hireflow", ignore=_LEFT)
        yield Path(folder)


def _disk(folder: Path) -> int:
    """Return the disk space that all files in these folders take, in bytes. A file with several hard links counts
    once."""
    sizes = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def main() -> int:
    costs = []
    for command in sys.argv[1:] or COMMANDS:
        costs.append(measure(command))
        print(costs[-1], flush=True)
    return 0 if all(cost.good for cost in costs) else 1


if __name__ == "__main__":
    sys.exit(main())
