"""Tests the database connection: TLS, timeouts, and servers that vanish or do not respond."""

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

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.statements import Statement
from chalicelib.cloud.wire import verifying_tls
from chalicelib.core import deadline
from chalicelib.core.errors import DatabaseUnavailable, OutOfTime
from chalicelib.migrations.migrate import upgrade
from tests.integration.migrations.test_schema import newest_revision

SSL_REQUEST = 8


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a certificate for `localhost`. This process trusts the certificate."""
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
    verifying_tls.cache_clear()
    return path


class Front:
    """A proxy between the test and Postgres. If it has a certificate, it uses TLS. After `silence`, it no longer passes
    data on."""

    def __init__(self, database_url: str, certificate: Path | None = None) -> None:
        url = urlsplit(database_url)
        self._to = url.hostname or "", url.port or 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = database_url.replace(
            f"@{url.hostname}:{url.port}/", f"@localhost:{self._listener.getsockname()[1]}/"
        )
        self._certificate = certificate
        self.unresponsive = False  # if true, the proxy accepts connections but never sends a byte
        self.sent = bytearray()  # all bytes that clients have sent
        self._silenced: list[threading.Event] = []
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._serve, daemon=True).start()

    def silence(self) -> None:
        """Discard everything that the open connections send from now on."""
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
                if self.unresponsive:
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
                for pair, record in (((outer, inner), self.sent), ((inner, outer), bytearray())):
                    threading.Thread(target=_pass_on, args=(*pair, silenced, record), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, silenced: threading.Event, record: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            record += data
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


def test_an_untrusted_certificate_is_refused(
    certificate: Path, database_url: str, fronts: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(database_url, certificate))
    monkeypatch.delenv("SSL_CERT_FILE")
    verifying_tls.cache_clear()
    with pytest.raises(DatabaseUnavailable), Database(fronts[0].url, tls="verify-full").session():
        pass


def test_only_the_authorities_of_the_given_file_are_trusted(
    certificate: Path, database_url: str, fronts: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(database_url, certificate))
    monkeypatch.delenv("SSL_CERT_FILE")
    verifying_tls.cache_clear()
    with closing(Database(fronts[0].url, ca=str(certificate))) as database, database.session() as session:
        assert session.scalar("SELECT 1") == 1
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    verifying_tls.cache_clear()
    other = str(Path(certifi.where()))
    with pytest.raises(DatabaseUnavailable), Database(fronts[0].url, ca=other).session():
        pass


def test_a_migration_trusts_the_authorities_of_the_given_file(
    certificate: Path, database_url: str, fronts: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(database_url, certificate))
    monkeypatch.delenv("SSL_CERT_FILE")
    assert upgrade(fronts[0].url, ca=str(certificate)).revision == newest_revision()


def test_every_connection_requests_a_new_login(database_url: str) -> None:
    """The login may have changed since the last connection: it may be a token, which is valid for minutes, or a secret
    that is rotated."""
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


def test_a_connection_to_a_silent_server_is_replaced(database_url: str, fronts: list[Front]) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable", connect_timeout=0.5)
    with database.session() as session:
        first = session.scalar("SELECT pg_backend_pid()")
    fronts[0].silence()
    with database.session() as session:
        assert session.scalar("SELECT pg_backend_pid()") != first
    database.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this operating system does not have the option")
def test_keepalive_probes_detect_a_vanished_server(database_url: str) -> None:
    database = Database(database_url, tls="disable")
    with database.session() as session:
        wire = session._wire.socket
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 30
        session.run("SELECT 1")
        assert wire.gettimeout() is None
    database.close()


def test_a_statement_ends_at_the_deadline(database_url: str) -> None:
    database = Database(database_url, tls="disable")
    with deadline.within(1), database.session() as session:
        pid = session.scalar("SELECT pg_backend_pid()")
        with pytest.raises(OutOfTime):
            session.run("SELECT pg_sleep(30)")
        assert not session.broken  # the server cancelled the statement
    with database.session() as session:
        assert session.scalar("SELECT pg_backend_pid()") == pid
        assert session.scalar("SHOW statement_timeout") == "0"
    database.close()


def test_a_transaction_ends_at_the_deadline(database_url: str) -> None:
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


def test_waiting_for_a_silent_server_ends_at_the_deadline(database_url: str, fronts: list[Front]) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable")
    began = time.monotonic()
    with deadline.within(1), database.session() as session:
        fronts[0].silence()
        with pytest.raises(OutOfTime):
            session.run("SELECT 1")
    assert time.monotonic() - began < 5
    with database.session() as session:  # opens a new connection
        assert session.scalar("SELECT 1") == 1
    database.close()


def test_the_error_of_a_lost_commit_says_that_its_outcome_is_not_known(database_url: str, fronts: list[Front]) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable")

    def work() -> None:
        with deadline.within(1), database.transaction() as session:
            session.run("INSERT INTO jobs VALUES (1, 'Clerk')")
            fronts[0].silence()

    with pytest.raises(OutOfTime, match="is not known"):
        work()
    database.close()


def test_the_error_of_a_lost_commit_with_its_statement_says_so_too(database_url: str, fronts: list[Front]) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable")

    def work() -> None:
        with deadline.within(1), database.transaction() as session:
            fronts[0].silence()
            session.run_together(Statement("INSERT INTO jobs VALUES (:id, 'Clerk')", {"id": 1}), commit=True)

    with pytest.raises(OutOfTime, match="is not known"):
        work()
    database.close()


def test_a_statement_that_fails_before_its_commit_has_a_known_outcome(database: Database) -> None:
    full = "RAISE EXCEPTION USING ERRCODE = '53100'"
    with database.session() as session:
        session.run(f"CREATE FUNCTION pg_temp.fill(i int) RETURNS int AS $$ BEGIN {full}; END $$ LANGUAGE plpgsql")
        with pytest.raises(DatabaseUnavailable) as raised, session.transaction():
            session.run_together(Statement("SELECT pg_temp.fill(:i)", {"i": 1}), commit=True)
    assert raised.value.detail == "the disk of the database is full"


def test_a_transaction_whose_time_is_up_before_its_commit_is_rolled_back(database: Database) -> None:
    """The deadline passes while no statement runs, so Postgres cannot notice it."""

    def too_slow(session: Session) -> None:
        with deadline.within(0.2), session.transaction():
            session.run("INSERT INTO late VALUES (1)")
            while not deadline.passed():
                time.sleep(0.01)

    with database.session() as session:
        session.run("CREATE TABLE late (id int)")
        with pytest.raises(OutOfTime):
            too_slow(session)
        assert session.is_idle
        assert session.run("SELECT * FROM late") == []
        session.run("DROP TABLE late")


def test_a_connection_in_a_transaction_is_not_lent_again(database: Database) -> None:
    with database.session() as session:
        before = session.scalar("SELECT pg_backend_pid()")
        session.run("BEGIN; CREATE TABLE left_open (id int)")
    with database.session() as session:
        assert session.scalar("SELECT pg_backend_pid()") != before
        assert session.scalar("SELECT to_regclass('left_open')") is None


def test_a_connection_keeps_what_it_has_made_until_it_is_made_in_another_way(database: Database) -> None:
    def kept(session: Session, columns: str) -> list[list[object]]:
        session.keep("table", f"DROP TABLE IF EXISTS kept; CREATE TEMP TABLE kept ({columns})")
        session.run("INSERT INTO kept DEFAULT VALUES")
        return session.run("SELECT * FROM kept")

    with database.session() as session:
        assert kept(session, "id int") == [[None]]
        assert kept(session, "id int") == [[None], [None]]
        assert kept(session, "id int, name text") == [[None, None]]
        with pytest.raises(DatabaseError):
            session.keep("table", "DROP TABLE kept; CREATE TEMP TABLE kept (no type)")
        assert kept(session, "id int, name text") == [[None, None]]
        session.broken = True
    with database.session() as session:
        assert kept(session, "id int") == [[None]]


def test_the_time_of_a_transaction_is_renewed_only_if_it_has_changed(database: Database) -> None:
    with database.session() as session, deadline.within(60), session.transaction():
        before = session.scalar("SHOW statement_timeout")
        session.renew_time()
        assert session.scalar("SHOW statement_timeout") == before
        with deadline.within(20):
            session.renew_time()
            assert session.scalar("SHOW statement_timeout") != before


def test_a_connection_is_kept_awake_between_statements_but_not_during_one(database: Database) -> None:
    def work(after: float) -> Iterator[bytes]:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            session.keep_awake(after)
            yield b""

    with database.session() as session:
        session.run("SET idle_session_timeout = 300; CREATE TEMP TABLE t (a text)")
        assert list(work(after=0.05))[-1] == b""
        assert session.copy_in("COPY t FROM STDIN", work(after=0)) == 0
        assert not session.broken
        session.run("SELECT 1")
        list(work(after=10))
        with pytest.raises(DatabaseUnavailable):
            session.run("SELECT 1")


def test_no_connection_is_opened_after_the_deadline(database: Database) -> None:
    with pytest.raises(OutOfTime), deadline.within(0), database.session():
        pass


@pytest.mark.parametrize("failure", ["no server listens", "the server never responds", "the server became silent"])
def test_a_caller_learns_within_five_seconds_that_the_database_cannot_be_reached(
    database_url: str, fronts: list[Front], failure: str
) -> None:
    fronts.append(Front(database_url))
    database = Database(fronts[0].url, tls="disable")
    if failure == "no server listens":
        fronts.pop().close()
    elif failure == "the server never responds":
        fronts[0].unresponsive = True
    else:
        with database.session() as session:
            session.run("SELECT 1")
        fronts[0].silence()
        fronts[0].unresponsive = True
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable) as raised, deadline.within(20), database.session():
        pass
    assert time.monotonic() - began < 5
    reason = "cannot be reached" if failure == "no server listens" else "does not respond"
    assert raised.value.detail == f"the database {reason}"
    database.close()


@pytest.mark.parametrize(
    "statement", ["INSERT INTO jobs VALUES (1, 'x'), (1, 'x')", "SELECT CAST('Ada Lund' AS integer)"]
)
def test_a_database_error_quotes_no_row(database: Database, statement: str) -> None:
    with database.session() as session, pytest.raises(DatabaseError) as refused:
        session.run(statement)
    assert not re.search(r"Ada|\(1\)", str(refused.value))
    assert refused.value.args[0]["C"]
