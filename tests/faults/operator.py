"""Makes backups and restores during the storm, as an operator does. They run in the background, at most one backup and
one restore at a time."""

import http.client
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

from chalicelib.core.datasets import DATASETS
from cli.errors import CommandError
from tests.faults.model import Book
from tests.faults.stage import Stage

_LOST = (OSError, http.client.HTTPException)


class Operator:
    """Makes backups and restores. For a restore, `random` chooses the dataset and the restore point."""

    def __init__(self, stage: Stage, book: Book, random: Random) -> None:
        self._stage, self._book, self._random = stage, book, random
        self._pool = ThreadPoolExecutor(2)
        self._running: dict[str, Future[None]] = {}
        self._points: list[str] = []

    def begin_backup(self) -> None:
        self._begin("backup", self.back_up)

    def begin_restore(self) -> None:
        """Begin a restore of a random dataset, from a random restore point that this operator has made."""
        dataset, point = self._random.choice(list(DATASETS.values())), self._random.choice(self._points)
        self._begin("restore", lambda: self._restore(dataset.route, point))

    def end(self) -> None:
        self._pool.shutdown()

    def back_up(self) -> None:
        try:
            point = self._stage.commands.invoke("backup")["restore_point"]
        except (CommandError, ValueError):  # a fault broke the backup; the restore points are checked after the storm
            return
        if point is not None and point not in self._points:  # None means that a scheduled backup was running
            self._points.append(point)

    def _begin(self, what: str, action: Callable[[], None]) -> None:
        if what not in self._running or self._running[what].done():
            self._running[what] = self._pool.submit(action)

    def _restore(self, route: str, point: str) -> None:
        undisturbed = self._stage.undisturbed()
        try:
            response = self._stage.cloud.post(f"/{route}/backup/restore", {"restore_point": point})
        except _LOST:
            return self._book.note_restore(None)
        except Exception as error:
            if undisturbed():
                self._book.note_unexpected(f"the request for a restore from {point} failed: {error!r}")
            return self._book.note_restore(None)
        if response.status == 202:
            return self._book.note_restore(response.body["load_id"])
        if response.status < 500 and undisturbed():
            refusal = f"{response.status} {json.dumps(response.body)}"
            self._book.note_unexpected(f"the request for a restore from {point} was refused: {refusal}")
        return self._book.note_restore(None)
