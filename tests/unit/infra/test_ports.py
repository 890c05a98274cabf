"""Tests how a server chooses its port: the port of a setting, the port that it had before, or any free port."""

import errno
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
    assert ports.choose("HIREFLOW_PORT", None, port) == port


def test_a_remembered_port_that_is_taken_is_replaced(taken: int) -> None:
    assert not ports.is_free(taken)
    chosen = ports.choose("HIREFLOW_PORT", None, taken)
    assert chosen != taken
    assert ports.is_free(chosen)


def test_a_fixed_port_wins_over_the_remembered_one() -> None:
    fixed, remembered = ports.free_port(), ports.free_port()
    assert ports.choose("HIREFLOW_PORT", fixed, remembered) == fixed


def test_a_remembered_port_that_another_setting_fixes_is_replaced() -> None:
    port = ports.free_port()
    assert ports.choose("HIREFLOW_PG_PORT", None, port, others=[port]) != port


def test_a_free_port_is_never_one_that_another_setting_fixes() -> None:
    all_ports = range(20_000, 30_000)
    with pytest.raises(CloudError, match="no free port"):
        ports.free_port(all_ports)


def test_a_fixed_port_may_belong_to_a_server_that_moves(taken: int) -> None:
    ports.check("HIREFLOW_PORT", taken, ours=[taken])
    with pytest.raises(CloudError, match="is in use"):
        ports.check("HIREFLOW_PORT", taken, ours=[taken + 1])


def test_a_fixed_port_that_is_taken_is_an_error_that_names_it(taken: int) -> None:
    with pytest.raises(CloudError, match=rf"port {taken} \(HIREFLOW_PORT\) is in use .* HIREFLOW_PORT=…"):
        ports.choose("HIREFLOW_PORT", taken, None)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "needs the rights of root"), (errno.EADDRNOTAVAIL, "cannot be used: Cannot assign")],
)
def test_other_errors_than_a_port_in_use_are_named(number: int, said: str) -> None:
    def refuse(_port: int) -> None:
        raise OSError(number, "Cannot assign requested address")

    with pytest.raises(CloudError, match=said) as raised:
        ports.choose("HIREFLOW_PORT", 80, None, refuse)
    assert "in use" not in str(raised.value)
    assert "RESET=HIREFLOW_PORT" in str(raised.value)
