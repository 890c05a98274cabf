"""Options of the whole suite."""

import gc
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.workers import ByFile

# hypothesis's own number of examples, without its limit of 0.2 s for each: on a busy machine that says nothing of ours
settings.register_profile("default", deadline=None)
settings.register_profile("long", max_examples=20_000, deadline=None)  # make fuzz
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stage",
        help="run tests/e2e against this stage, which is up, and EMPTY its tables; default: a cloud of their own",
    )


def pytest_configure() -> None:
    """Let commands that a test starts react to Ctrl-C, also where a shell has started the tests in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave the modules out of garbage collection: with all of them, each full collection takes a tenth of a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # only with pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "ByFile | None":
    """Spread the tests over the workers by our own rules, unless others are asked for with --dist."""
    if config.getvalue("dist") != "load":
        return None
    from tests.workers import ByFile

    return ByFile(config, log)
