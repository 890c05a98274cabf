"""Choosing ports: fixed, remembered, free."""

import socket
from collections.abc import Iterator

import pytest

from infra.errors import CloudError
from infra.local import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_remembered_port_is_kept_while_it_is_free() -> None:
    port = ports.free_port()
    assert ports.choose("HIREFLOW_TEST_PORT", port) == port


def test_a_remembered_port_that_is_taken_is_replaced(taken: int) -> None:
    assert not ports.is_free(taken)
    chosen = ports.choose("HIREFLOW_TEST_PORT", taken)
    assert chosen != taken
    assert ports.is_free(chosen)


def test_a_fixed_port_wins_over_the_remembered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, remembered = ports.free_port(), ports.free_port()
    monkeypatch.setenv("HIREFLOW_TEST_PORT", str(fixed))
    assert ports.choose("HIREFLOW_TEST_PORT", remembered) == fixed


def test_a_fixed_port_that_is_taken_is_an_error_that_names_it(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIREFLOW_TEST_PORT", str(taken))
    with pytest.raises(CloudError, match=rf"port {taken} \(HIREFLOW_TEST_PORT\) is in use"):
        ports.choose("HIREFLOW_TEST_PORT", None)


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "80 ", "٨٠"])
def test_a_fixed_port_must_be_a_port_number(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIREFLOW_TEST_PORT", value)
    with pytest.raises(CloudError, match="is not a port number"):
        ports.choose("HIREFLOW_TEST_PORT", None)
