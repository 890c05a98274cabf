"""The HTTP client before servers that misbehave, behind proxies, and over TLS."""

import base64
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.api import Api
from cli.errors import CommandError, Misuse, NoAnswer, Refused
from cli.http import Client
from tests.integration.fake_api import FakeApi, fake_api

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.lower, PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with fake_api() as found:
        yield found


@contextmanager
def server(*responses: bytes, family: socket.AddressFamily = socket.AF_INET) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives each connection the next of the raw answers and closes it; its URL, and what it was sent.

    For `b"..."` it says nothing until the client has gone.
    """
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    listening = socket.create_server((host, 0), family=family)
    asked: list[bytes] = []

    def serve() -> None:
        for response in responses:
            with listening.accept()[0] as connection:
                data = b""
                while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
                    data += more
                asked.append(data)
                if response == b"...":
                    connection.recv(1)
                else:
                    connection.sendall(response)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    name = f"[{host}]" if ":" in host else host
    with listening:
        yield f"http://{name}:{listening.getsockname()[1]}", asked


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_token_nowhere(fake: FakeApi, status: int) -> None:
    with fake_api() as other:
        fake.on("GET", "/loads", b"", status, Location=f"{other.url}/loads")
        with pytest.raises(Refused, match=f"leads elsewhere to {other.url}/loads: set API_URL"):
            Api(fake.url, "hf_secret").get("/loads")
        assert not other.asked


@pytest.mark.parametrize("answers", [(CUT, GOOD), (b"", b"", GOOD)])
def test_what_broke_off_is_read_again(responses: tuple[bytes, ...]) -> None:
    with server(*responses) as (url, asked):
        assert Api(url).get("/loads") == {}
        assert len(asked) == len(responses)


@pytest.mark.parametrize("answer", [CUT, b""])
def test_what_may_have_been_done_is_not_done_again(response: bytes) -> None:
    with server(response, GOOD) as (url, asked), pytest.raises(NoAnswer, match=r"broke off.*: try again"):
        Api(url).post("/uploads", {})
    assert len(asked) == 1


def test_what_says_nothing_is_given_up() -> None:
    with server(b"...") as (url, _), pytest.raises(NoAnswer, match=f"{url} does not answer: try again"):
        Client(patience=0.2).send("GET", url)


def test_only_a_refused_connection_says_that_nothing_runs(fake: FakeApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(NoAnswer, match=r"^it is not running: make up$"):
        Api(url, absent="it is not running: make up").get("/loads")
    with pytest.raises(NoAnswer, match=f"^{url} cannot be reached: Connection refused$"):
        Api(url).get("/loads")
    with pytest.raises(NoAnswer, match=r"nobody knows the name nowhere\.invalid: is API_URL right\?"):
        Api("http://nowhere.invalid", absent="it is not running").get("/loads")


@pytest.mark.parametrize("path", ["", "/prod", "/a/b"])
def test_an_api_may_live_below_a_path(fake: FakeApi, path: str) -> None:
    fake.on("GET", f"{path}/loads", {"loads": []})
    assert Api(fake.url + path).get("/loads", limit=3, status=None) == {"loads": []}
    assert fake.asked[0].query == {"limit": "3"}


def test_an_address_may_be_of_version_6() -> None:
    try:
        with server(GOOD, family=socket.AF_INET6) as (url, asked):
            assert Api(f"{url}/prod").get("/loads") == {}
            assert asked[0].startswith(b"GET /prod/loads HTTP/1.1\r\nHost: [::1]:")
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_an_answer_of_something_in_between_is_told(fake: FakeApi) -> None:
    fake.on("GET", "/loads", b"<html><h1>Bad gateway</h1></html>", 502, Content_Type="text/html")
    with pytest.raises(Refused, match=r"^502 Bad Gateway; the answer is not the API's: is API_URL right, or a proxy"):
        Api(fake.url).get("/loads")


# --- proxies


def test_a_proxy_is_asked_for_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(GOOD) as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy.replace("http://", "http://me:p%40ss@"))
        assert Api("http://api.example:8080/prod", "hf_secret").get("/loads") == {}
    head = asked[0].decode()
    assert head.startswith("GET http://api.example:8080/prod/loads HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:p@ss').decode()}\r\n".lower() in head.lower()


def test_a_proxy_sees_no_token_of_an_api_with_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(b"HTTP/1.1 403 Forbidden\r\n\r\n") as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy.removeprefix("http://"))
        with pytest.raises(NoAnswer, match=r"through the proxy: .*: check HTTPS_PROXY and NO_PROXY"):
            Api("https://api.example", "hf_secret").get("/loads")
    assert asked[0].startswith(b"CONNECT api.example:443 HTTP/1.")
    assert b"hf_secret" not in asked[0]


@pytest.mark.parametrize("settings", [{}, {"NO_PROXY": "example.org"}])
def test_this_machine_needs_no_proxy(fake: FakeApi, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    fake.on("GET", "/loads", {})
    for name, value in {"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1", **settings}.items():
        monkeypatch.setenv(name, value)
    assert Api(fake.url).get("/loads") == {}


def test_hosts_of_no_proxy_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for host in ("api.invalid", "api.invalid:8080", ".invalid", "*"):
        monkeypatch.setenv("NO_PROXY", host)
        with pytest.raises(NoAnswer, match="nobody knows the name"):
            Api("http://api.invalid:8080").get("/loads")
    monkeypatch.setenv("NO_PROXY", "other.invalid")
    with pytest.raises(NoAnswer, match="through the proxy"):
        Api("http://api.invalid:8080").get("/loads")


def test_a_proxy_of_another_kind_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy:1080")
    with pytest.raises(Misuse, match="socks5://proxy:1080 is of a kind that is not supported") as raised:
        Api("http://api.example").get("/loads")
    assert "secret" not in str(raised.value)


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost that no authority vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    made = [
        "openssl",
        *words.split(),
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]
    try:
        subprocess.run(made, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    return folder / "cert.pem"


@pytest.fixture
def secure(certificate: Path) -> Iterator[int]:
    """The port of a server that speaks TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, *args: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    listening = Quiet(("127.0.0.1", 0), Handler)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield listening.server_port
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: int) -> None:
    with pytest.raises(NoAnswer, match=r"cannot be trusted: self.signed certificate.*SSL_CERT_FILE"):
        Api(f"https://localhost:{secure}", "hf_secret").get("/loads")


def test_an_authority_of_ones_own_is_named_by_ssl_cert_file(
    secure: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Api(f"https://localhost:{secure}").get("/loads") == {}
    with pytest.raises(NoAnswer, match="cannot be trusted: IP address mismatch"):
        Api(f"https://127.0.0.1:{secure}").get("/loads")


@pytest.mark.parametrize("text", [None, "nothing"])
def test_a_file_without_certificates_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    named = tmp_path / "ca.pem"
    if text is not None:
        named.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    with pytest.raises(CommandError, match=f"SSL_CERT_FILE names no file of certificates: {named}"):
        Api("https://localhost:1").get("/loads")
