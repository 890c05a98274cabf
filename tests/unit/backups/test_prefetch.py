"""Working ahead changes nothing but when things are made."""

import threading
from collections.abc import Iterator

import pytest

from chalicelib.backups.prefetch import ahead


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_item_comes_once_and_in_order(count: int) -> None:
    with ahead(range(count)) as items:
        assert list(items) == list(range(count))


def test_what_fails_while_made_fails_when_used() -> None:
    def made() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    with ahead(made()) as items:
        assert next(items) == 1
        with pytest.raises(KeyError):
            next(items)


def test_the_next_is_made_meanwhile_and_nothing_is_after_the_end() -> None:
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
