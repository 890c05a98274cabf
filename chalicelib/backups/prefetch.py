"""Prefetching: a thread makes the next item while the caller uses the current one."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterable[Item]) -> Iterator[Iterator[Item]]:
    """Iterate over `items`, and make one item ahead. An exception from making an item is raised when that item is due.

    When the block ends, also by an exception, the thread no longer uses `items`.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:

        def consume() -> Iterator[Item]:
            end: object = object()
            upcoming = pool.submit(next, source, end)
            while (item := upcoming.result()) is not end:
                upcoming = pool.submit(next, source, end)
                yield item  # type: ignore[misc]

        yield consume()
