"""The connection: TLS, time-outs, peers that are gone."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib import database as module
from chalicelib.database import Database
from chalicelib.errors import DatabaseUnavailable

SSL_REQUEST = 8


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of `localhost`, trusted by us."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    module._verifying_tls.cache_clear()
    return path


class Front:
    """A server between us and Postgres: it speaks TLS where it has a certificate, and falls silent when told to."""

    def __init__(self, database_url: str, certificate: Path | None = None) -> None:
        url = urlsplit(database_url)
        self._to = url.hostname or "", url.port or 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = database_url.replace(
            f"@{url.hostname}:{url.port}/", f"@localhost:{self._listener.getsockname()[1]}/"
        )
        self._certificate = certificate
        self._silenced: list[threading.Event] = []
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._serve, daemon=True).start()

    def silence(self) -> None:
        """Swallow whatever the connections of now send."""
        for silenced in self._silenced:
            silenced.set()

    def close(self) -> None:
        for used in self._sockets:
            with suppress(OSError):
                used.shutdown(socket.SHUT_RDWR)
            used.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                outer, _ = self._listener.accept()
                self._sockets.append(outer)
                if self._certificate:
                    outer.recv(SSL_REQUEST)
                    outer.sendall(b"S")
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(self._certificate)
                    outer = context.wrap_socket(outer, server_side=True)
                inner = socket.create_connection(self._to)
                self._sockets += [outer, inner]
                silenced = threading.Event()
                self._silenced.append(silenced)
                for pair in ((outer, inner), (inner, outer)):
                    threading.Thread(target=_pass_on, args=(*pair, silenced), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, silenced: threading.Event) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            if not silenced.is_set():
                target.sendall(data)


@pytest.fixture
def fronts() -> Iterator[list[Front]]:
    made: list[Front] = []
    yield made
    for front in made:
        front.close()


def test_a_statement_over_tls_may_take_longer_than_a_connection(
    certificate: Path, database_url: str, fronts: list[Front]
) -> None:
    fronts.append(Front(database_url, certificate))
    database = Database(fronts[0].url, tls="verify-full", connect_timeout=0.5)
    with database.session() as session:
        assert session.scalar("SELECT 'done' FROM pg_sleep(1)") == "done"
    database.close()


def test_a_certificate_nobody_vouches_for_is_refused(
    certificate: Path, database_url: str, fronts: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(database_url, certificate))
    monkeypatch.delenv("SSL_CERT_FILE")
    module._verifying_tls.cache_clear()
    with pytest.raises(DatabaseUnavailable), Database(fronts[0].url, tls="verify-full").session():
        pass


def test_a_peer_that_went_silent_is_replaced(database_url: str, fronts: list[Front]) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable", connect_timeout=0.5)
    with database.session() as session:
        first = session.scalar("SELECT pg_backend_pid()")
    fronts[0].silence()
    with database.session() as session:
        assert session.scalar("SELECT pg_backend_pid()") != first
    database.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this system has no such option")
def test_vanished_peers_are_looked_for(database_url: str) -> None:
    database = Database(database_url, tls="disable")
    with database.session() as session:
        wire = session._wire.socket
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 30
        assert wire.gettimeout() is None
    database.close()
