"""Working ahead: the next item is made in a thread while this one is used."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterable[Item]) -> Iterator[Iterator[Item]]:
    """Iterate over `items`, one ahead; what making one raises comes out when it is its turn.

    At the end of the block nothing works on `items` any more, however it ends.
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
