"""Prefetches items: a thread makes the next item while the caller uses the current item."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterable[Item]) -> Iterator[Iterator[Item]]:
    """Iterate over `items`. While the caller uses an item, a thread makes the next item.

    If making an item raises an exception, the exception is raised when the caller asks for that item. When the `with`
    block ends, also by an exception, the thread no longer uses `items`.
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
