"""Runs statements with parameters, and parses each of them only once.

pg8000 looks for the parameters of a statement character by character. For a long statement, this takes a millisecond,
which is more than most statements take in Postgres.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import pg8000.native

_MOST = 256  # parsed statements in memory; a function runs far fewer, except for those that name a single load


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that remembers how statements were parsed."""

    def run(self, sql: str, stream: Any = None, **params: Any) -> Any:
        if not params and stream is None:
            return super().run(sql)
        statement, values = parsed(sql)
        self._context = self.execute_unnamed(statement, values(params), stream=stream)
        return self._context.rows


@lru_cache(_MOST)
def parsed(sql: str) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """Return a statement with the numbers of its parameters instead of their names, and a function that puts the values
    of the parameters in their order."""
    statement, values = pg8000.native.to_statement(sql)
    return statement, values
