"""Progress of what takes long: milestones as they come, and never more than a few seconds of silence."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET = 3.0  # seconds without a line, after which it is told what is being waited for


class Progress:
    """Tells `say` milestones, and after `quiet` seconds without one what is being waited for, and the time so far."""

    def __init__(self, say: Callable[[str], None], quiet: float = QUIET) -> None:
        self._say, self._quiet = say, quiet
        self._lock, self._over = threading.Lock(), threading.Event()
        self._doing: dict[int, Callable[[], str]] = {}
        self._last = self._start = time.monotonic()
        self._said = "working"

    def say(self, text: str) -> None:
        """Tell a milestone."""
        self._tell(text)

    def _tell(self, text: str, *, again: bool = False) -> None:
        with self._lock:
            self._say(text)
            if not again:
                self._said = text
            self._last = time.monotonic()

    @contextmanager
    def doing(self, what: Callable[[], str]) -> Iterator[None]:
        """While this is going on, `what` says what it is."""
        number = id(what)
        self._doing[number] = what
        try:
            yield
        finally:
            self._doing.pop(number, None)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Break silences while this is open."""
        thread = threading.Thread(target=self._break_silences, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _break_silences(self) -> None:
        while not self._over.wait(max(0.01, self._last + self._quiet - time.monotonic())):
            doing = [what() for what in list(self._doing.values())] or [f"still at it: {self._said}"]
            if time.monotonic() >= self._last + self._quiet:
                self._tell(f"{'; '.join(doing)} ({time.monotonic() - self._start:.0f} s)", again=True)
