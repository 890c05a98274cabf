"""Tests that prefetching changes only the time at which an item is made, not the items or their order."""

import threading
from collections.abc import Iterator

import pytest

from chalicelib.backups.prefetch import ahead


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_item_comes_once_and_in_order(count: int) -> None:
    with ahead(range(count)) as items:
        assert list(items) == list(range(count))


def test_an_error_while_an_item_is_made_is_raised_when_the_item_is_used() -> None:
    def made() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    with ahead(made()) as items:
        assert next(items) == 1
        with pytest.raises(KeyError):
            next(items)


def test_the_next_item_is_made_while_one_is_used_and_no_item_after_the_block() -> None:
    reached, threads = threading.Event(), set()

    def made() -> Iterator[int]:
        for number in range(100):
            threads.add(threading.current_thread())
            if number == 1:
                reached.set()
            yield number

    with ahead(made()) as items:
        assert next(items) == 0
        assert reached.wait(10)
    assert threads
    assert not any(thread.is_alive() for thread in threads)
