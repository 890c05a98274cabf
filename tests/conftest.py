"""Defines options and hooks of pytest for the whole test suite."""

import gc
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.workers import ByFile

# Hypothesis's default number of examples, but without a deadline. By default an example fails after 0.2 s. On a busy
# machine an example can take longer although our code is correct.
settings.register_profile("default", deadline=None)
settings.register_profile("long", max_examples=20_000, deadline=None)  # for `make fuzz`
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stage",
        help="run tests/e2e against this running stage; the tests DELETE all rows of its tables;"
        " default: the tests start an embedded cloud of their own",
    )


def pytest_configure() -> None:
    """Restore the default handler of SIGINT, so that the commands that a test starts react to Ctrl-C.

    A shell that starts the tests in the background makes them ignore SIGINT. Their child processes would inherit this.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Exclude all imported modules from garbage collection. Otherwise each full collection takes 0.1 seconds longer."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # the hook exists only if pytest-xdist is installed
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "ByFile | None":
    """Distribute the tests by the rules of tests/workers.py, unless the option --dist names another scheduler."""
    if config.getvalue("dist") != "load":
        return None
    from tests.workers import ByFile

    return ByFile(config, log)
