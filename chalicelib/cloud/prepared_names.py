"""Chooses the statements of a connection that Postgres keeps under a name, so that it parses and plans them once.

To parse and plan a long statement takes Postgres longer than to run it for a few rows. A statement that a connection
sends often gets one of a few names. A name is given to another statement if its own has not been sent for the longest
time, so the memory that the connection takes in Postgres is bounded.

Postgres chooses a plan by the size that the tables have at that time. It keeps the plan until somebody analyzes a
table. So each statement is prepared again after some time: a table may have grown since.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

OFTEN = 3  # a statement is prepared when it is sent for the third time
MOST = 48  # statements that have a name
FRESH = 60.0  # seconds after which a statement is prepared again
_COUNTED = 256  # statements whose uses are counted


class Name(NamedTuple):
    """The name of a statement. If `is_ready` is true, Postgres has prepared the statement under this name."""

    text: bytes
    is_ready: bool


@dataclass
class _Named:
    name: bytes
    since: float  # when the statement was prepared, or -inf if it was not


@dataclass
class PreparedNames:
    """The names of one connection. `clock` returns seconds."""

    clock: Callable[[], float] = time.monotonic
    _uses: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _named: OrderedDict[str, _Named] = field(default_factory=OrderedDict)

    def name_of(self, statement: str) -> Name | None:
        """Return the name of a statement that is about to be sent, or None if it is not sent often."""
        named = self._named.get(statement) or self._first_name(statement)
        if named is None:
            return None
        self._named.move_to_end(statement)
        return Name(named.name, self.clock() - named.since < FRESH)

    def succeeded(self, statement: str) -> None:
        """Note that Postgres has just prepared a statement under its name."""
        self._named[statement].since = self.clock()

    def failed(self, statement: str) -> None:
        """Note that it is not known whether Postgres has prepared a statement."""
        self._named[statement].since = float("-inf")

    def forget(self) -> None:
        """Note that it is not known which statements Postgres has prepared."""
        for named in self._named.values():
            named.since = float("-inf")

    def _first_name(self, statement: str) -> _Named | None:
        uses = self._uses.pop(statement, 0) + 1
        if uses < OFTEN:
            self._uses[statement] = uses
            if len(self._uses) > _COUNTED:
                self._uses.popitem(last=False)
            return None
        if len(self._named) < MOST:
            name = b"hireflow_%d" % len(self._named)
        else:
            _, longest_unused = self._named.popitem(last=False)
            name = longest_unused.name
        self._named[statement] = _Named(name, float("-inf"))
        return self._named[statement]
