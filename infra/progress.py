"""Prints the progress of long work: each milestone and, after a few seconds without one, the current work."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET = 3.0  # after so many seconds without a line, a line says what the command is doing


class Progress:
    """Prints milestones. After `quiet` seconds without a milestone, prints the current work and the time so far."""

    def __init__(self, say: Callable[[str], None], quiet: float = QUIET) -> None:
        self._say, self._quiet = say, quiet
        self._lock, self._over = threading.Lock(), threading.Event()
        self._doing: dict[int, Callable[[], str]] = {}
        self._last = self._start = time.monotonic()
        self._said = "working"

    def say(self, text: str) -> None:
        """Print a milestone."""
        self._print(text)

    def _print(self, text: str, *, again: bool = False) -> None:
        with self._lock:
            self._say(text)
            if not again:
                self._said = text
            self._last = time.monotonic()

    @contextmanager
    def doing(self, what: Callable[[], str]) -> Iterator[None]:
        """Use the text that `what` returns as the current work, until the end of the `with` block."""
        number = id(what)
        self._doing[number] = what
        try:
            yield
        finally:
            self._doing.pop(number, None)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Print a line after each `quiet` seconds without a line, until the end of the `with` block."""
        thread = threading.Thread(target=self._break_silences, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _break_silences(self) -> None:
        while not self._over.wait(max(0.01, self._last + self._quiet - time.monotonic())):
            doing = [what() for what in list(self._doing.values())] or [f"still working: {self._said}"]
            if time.monotonic() >= self._last + self._quiet:
                self._print(f"{'; '.join(doing)} ({time.monotonic() - self._start:.0f} s)", again=True)
