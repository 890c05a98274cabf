"""Keeps the last reports of a process in memory, so that a report is made once for each state of the datasets.

A report is kept with the `version` that the same statement has read. It is only used for a caller if the datasets still
have this version, which each request reads from the database. Versions of two databases may be equal, for example if
one is a copy of the other. So the reports belong to one connection: a connection never changes its database.
"""

import sys
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple
from weakref import ref

from chalicelib.cloud.database import Session
from chalicelib.reports.declaration import Report, Scope, Span

MOST_BYTES = 16 * 1024 * 1024  # three of the largest answers


class Asked(NamedTuple):
    """What a caller has asked for."""

    report: Report
    span: Span
    scope: Scope


class Answer(NamedTuple):
    """The text of a report, for example as JSON, and the version that it belongs to."""

    version: str
    text: str


class KeptAnswers:
    """The reports of one connection at a time. They take at most `most_bytes` bytes.

    `asked` is what a caller has asked for. Everything that changes a report, besides the datasets and the deployment,
    is part of it.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._session: ref[Session] | None = None
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()

    def last(self, session: Session, asked: Hashable) -> Answer | None:
        """Return the last answer that this connection has given."""
        if self._session is None or self._session() is not session:
            return None
        if asked in self._answers:
            self._answers.move_to_end(asked)
        return self._answers.get(asked)

    def keep(self, session: Session, asked: Hashable, answer: Answer) -> None:
        if self._session is None or self._session() is not session:
            self._answers.clear()
            self._session, self._bytes = ref(session), 0
        self._drop(self._answers.pop(asked, None))
        self._answers[asked] = answer
        self._bytes += sys.getsizeof(answer.text)
        while self._bytes > self._most_bytes:
            self._drop(self._answers.popitem(last=False)[1])

    def _drop(self, answer: Answer | None) -> None:
        self._bytes -= sys.getsizeof(answer.text) if answer else 0
