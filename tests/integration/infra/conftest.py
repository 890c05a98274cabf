"""Provides an embedded AWS for the tests of a module."""

from collections.abc import Iterator

import pytest

from infra.local import ports
from infra.local.aws import EmbeddedAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    server = EmbeddedAws(tmp_path_factory.mktemp("aws"))
    server.start(ports.free_port())
    yield server
    server.stop()
