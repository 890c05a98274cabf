"""The connection: TLS, time-outs, peers that are gone."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pg8000.exceptions import DatabaseError

from chalicelib.cloud import database as module
from chalicelib.cloud.database import Database
from chalicelib.core import deadline
from chalicelib.core.errors import DatabaseUnavailable, OutOfTime
from chalicelib.migrations.migrate import upgrade
from tests.integration.migrations.test_schema import newest_revision

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
        self.deaf = False  # whether it takes connections and never says a word
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
                if self.deaf:
                    continue
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


def test_authorities_of_a_file_are_trusted_and_no_others(
    certificate: Path, database_url: str, fronts: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(database_url, certificate))
    monkeypatch.delenv("SSL_CERT_FILE")
    module._verifying_tls.cache_clear()
    with closing(Database(fronts[0].url, ca=str(certificate))) as database, database.session() as session:
        assert session.scalar("SELECT 1") == 1
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    module._verifying_tls.cache_clear()
    other = str(Path(certifi.where()))
    with pytest.raises(DatabaseUnavailable), Database(fronts[0].url, ca=other).session():
        pass


def test_a_migration_trusts_the_same(
    certificate: Path, database_url: str, fronts: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(database_url, certificate))
    monkeypatch.delenv("SSL_CERT_FILE")
    assert upgrade(fronts[0].url, ca=str(certificate)) == newest_revision()


def test_a_login_is_asked_for_with_every_connection(database_url: str) -> None:
    """As with a token, which is good for minutes, or a secret that is rotated."""
    asked: list[str] = []

    def login() -> str:
        asked.append(database_url if len(asked) != 1 else database_url.replace("@", "-outdated@"))
        return asked[-1]

    with closing(Database(login, tls="disable")) as database:
        for _ in range(2):
            with database.session():
                pass
        database.close()
        with pytest.raises(DatabaseUnavailable), database.session():
            pass
        with database.session() as session:
            assert session.scalar("SELECT 1") == 1
    assert len(asked) == 3


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
        session.run("SELECT 1")
        assert wire.gettimeout() is None
    database.close()


def test_a_statement_ends_with_the_time_there_is(database_url: str) -> None:
    database = Database(database_url, tls="disable")
    with deadline.within(1), database.session() as session:
        pid = session.scalar("SELECT pg_backend_pid()")
        with pytest.raises(OutOfTime):
            session.run("SELECT pg_sleep(30)")
        assert not session.broken  # the server ended it
    with database.session() as session:
        assert session.scalar("SELECT pg_backend_pid()") == pid
        assert session.scalar("SHOW statement_timeout") == "0"
    database.close()


def test_a_transaction_keeps_to_the_time_there_is(database_url: str) -> None:
    database = Database(database_url, tls="disable")

    def work() -> None:
        with deadline.within(1), database.transaction() as session:
            session.run("INSERT INTO jobs VALUES (1, 'Clerk')")
            session.run("SELECT pg_sleep(0.4)")
            session.run("SELECT pg_sleep(30)")

    with pytest.raises(OutOfTime):
        work()
    with database.session() as session:
        assert session.scalar("SELECT count(*) FROM jobs") == 0
    database.close()


def test_a_server_that_falls_silent_costs_no_more_than_the_time_there_is(
    database_url: str, fronts: list[Front]
) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable")
    began = time.monotonic()
    with deadline.within(1), database.session() as session:
        fronts[0].silence()
        with pytest.raises(OutOfTime):
            session.run("SELECT 1")
    assert time.monotonic() - began < 5
    with database.session() as session:  # by a new connection
        assert session.scalar("SELECT 1") == 1
    database.close()


def test_a_lost_commit_is_not_called_a_failure(database_url: str, fronts: list[Front]) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable")

    def work() -> None:
        with deadline.within(1), database.transaction() as session:
            session.run("INSERT INTO jobs VALUES (1, 'Clerk')")
            fronts[0].silence()

    with pytest.raises(OutOfTime, match="is not known"):
        work()
    database.close()


def test_nothing_is_begun_when_time_is_up(database: Database) -> None:
    with pytest.raises(OutOfTime), deadline.within(0), database.session():
        pass


@pytest.mark.parametrize("away", ["nobody listens", "nobody answers", "it fell silent"])
def test_a_caller_knows_within_five_seconds_that_the_database_is_away(
    database_url: str, fronts: list[Front], away: str
) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable")
    if away == "nobody listens":
        fronts.pop().close()
    elif away == "nobody answers":
        fronts[0].deaf = True
    else:
        with database.session() as session:
            session.run("SELECT 1")
        fronts[0].silence()
        fronts[0].deaf = True
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable), deadline.within(20), database.session():
        pass
    assert time.monotonic() - began < 5
    database.close()


@pytest.mark.parametrize(
    "statement", ["INSERT INTO jobs VALUES (1, 'x'), (1, 'x')", "SELECT CAST('Ada Lund' AS integer)"]
)
def test_an_error_quotes_no_row(database: Database, statement: str) -> None:
    with database.session() as session, pytest.raises(DatabaseError) as refused:
        session.run(statement)
    assert not re.search(r"Ada|\(1\)", str(refused.value))
    assert refused.value.args[0]["C"]
