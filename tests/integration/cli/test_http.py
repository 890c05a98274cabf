"""Tests the HTTP client with servers that misbehave, behind proxies, and over TLS."""

import base64
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """Yield the URL of a server and the list of the requests that it has received.

    The server sends one of the raw responses on each connection, in order, and closes the connection. If the response
    is `b"..."`, the server sends nothing, and waits until the client closes the connection.
    """
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    listening = socket.create_server((host, 0), family=family)
    asked: list[bytes] = []

    def respond(response: bytes) -> None:
        with listening.accept()[0] as connection:
            data = b""
            while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
                data += more
            asked.append(data)
            if response == b"...":
                connection.recv(1)
            else:
                connection.sendall(response)

    def serve() -> None:
        with suppress(OSError):  # if a test does not use all responses, accept() fails at the end of the test
            for response in responses:
                respond(response)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    name = f"[{host}]" if ":" in host else host
    with listening:
        yield f"http://{name}:{listening.getsockname()[1]}", asked
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # close() alone would not wake the thread in accept()


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_so_that_the_token_goes_to_no_other_host(fake: FakeApi, status: int) -> None:
    with fake_api() as other:
        fake.on("GET", "/loads", b"", status, Location=f"{other.url}/loads")
        with pytest.raises(Refused, match=f"API_URL redirects to {other.url}/loads: set API_URL"):
            Api(fake.url, "hf_secret").get("/loads")
        assert not other.asked


@pytest.mark.parametrize("responses", [(CUT, GOOD), (b"", b"", GOOD)])
def test_a_get_is_retried_if_the_connection_breaks(responses: tuple[bytes, ...]) -> None:
    with server(*responses) as (url, asked):
        assert Api(url).get("/loads") == {}
        assert len(asked) == len(responses)


@pytest.mark.parametrize("response", [CUT, b""])
def test_a_post_is_not_retried_because_it_may_have_taken_effect(response: bytes) -> None:
    with server(response, GOOD) as (url, asked), pytest.raises(NoAnswer, match=r"connection to .* broke: .*try again"):
        Api(url).post("/uploads", {})
    assert len(asked) == 1


def test_a_silent_server_causes_a_timeout() -> None:
    with server(b"...") as (url, _), pytest.raises(NoAnswer, match=f"{url} does not respond: try again"):
        Client(patience=0.2).send("GET", url)


def test_only_a_refused_connection_means_that_the_stage_is_not_running(fake: FakeApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(NoAnswer, match=r"^it is not running: make up$"):
        Api(url, absent="it is not running: make up").get("/loads")
    with pytest.raises(NoAnswer, match=f"^{url} cannot be reached: Connection refused$"):
        Api(url).get("/loads")
    with pytest.raises(NoAnswer, match=r"the name nowhere\.invalid cannot be resolved: is API_URL right\?"):
        Api("http://nowhere.invalid", absent="it is not running").get("/loads")


@pytest.mark.parametrize("path", ["", "/prod", "/a/b"])
def test_the_address_of_the_api_may_have_a_path(fake: FakeApi, path: str) -> None:
    fake.on("GET", f"{path}/loads", {"loads": []})
    assert Api(fake.url + path).get("/loads", limit=3, status=None) == {"loads": []}
    assert fake.asked[0].query == {"limit": "3"}


def test_the_address_of_the_api_may_be_ipv6() -> None:
    try:
        with server(GOOD, family=socket.AF_INET6) as (url, asked):
            assert Api(f"{url}/prod").get("/loads") == {}
            assert asked[0].startswith(b"GET /prod/loads HTTP/1.1\r\nHost: [::1]:")
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_an_error_page_of_a_proxy_is_recognized(fake: FakeApi) -> None:
    fake.on("GET", "/loads", b"<html><h1>Bad gateway</h1></html>", 502, Content_Type="text/html")
    with pytest.raises(Refused, match=r"^502 Bad Gateway; the response is not from the API: is API_URL right\? is a"):
        Api(fake.url).get("/loads")


# --- proxies


def test_requests_to_other_machines_use_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(GOOD) as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy.replace("http://", "http://me:p%40ss@"))
        assert Api("http://api.example:8080/prod", "hf_secret").get("/loads") == {}
    head = asked[0].decode()
    assert head.startswith("GET http://api.example:8080/prod/loads HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:p@ss').decode()}\r\n".lower() in head.lower()


def test_a_proxy_does_not_see_the_token_of_an_https_api(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(b"HTTP/1.1 403 Forbidden\r\n\r\n") as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy.removeprefix("http://"))
        with pytest.raises(NoAnswer, match=r"through the proxy: .*: check HTTPS_PROXY and NO_PROXY"):
            Api("https://api.example", "hf_secret").get("/loads")
    assert asked[0].startswith(b"CONNECT api.example:443 HTTP/1.")
    assert b"hf_secret" not in asked[0]


@pytest.mark.parametrize("settings", [{}, {"NO_PROXY": "example.org"}])
def test_requests_to_this_machine_use_no_proxy(
    fake: FakeApi, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    fake.on("GET", "/loads", {})
    for name, value in {"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1", **settings}.items():
        monkeypatch.setenv(name, value)
    assert Api(fake.url).get("/loads") == {}


def test_hosts_in_no_proxy_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for host in ("api.invalid", "api.invalid:8080", ".invalid", "*"):
        monkeypatch.setenv("NO_PROXY", host)
        with pytest.raises(NoAnswer, match="cannot be resolved"):
            Api("http://api.invalid:8080").get("/loads")
    monkeypatch.setenv("NO_PROXY", "other.invalid")
    with pytest.raises(NoAnswer, match="through the proxy"):
        Api("http://api.invalid:8080").get("/loads")


def test_the_error_about_an_unsupported_proxy_hides_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy:1080")
    with pytest.raises(Misuse, match="socks5://proxy:1080 is not supported") as raised:
        Api("http://api.example").get("/loads")
    assert "secret" not in str(raised.value)


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a self-signed certificate for localhost. Return its path. The file of its key is in the same folder."""
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
        pytest.skip("openssl is not installed: it makes the certificate")
    return folder / "cert.pem"


@pytest.fixture
def secure(certificate: Path) -> Iterator[int]:
    """Start an HTTPS server with this certificate. Return its port."""

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


def test_a_self_signed_certificate_is_refused(secure: int) -> None:
    with pytest.raises(NoAnswer, match=r"cannot be trusted: self.signed certificate.*SSL_CERT_FILE"):
        Api(f"https://localhost:{secure}", "hf_secret").get("/loads")


def test_certificates_in_ssl_cert_file_are_trusted(
    secure: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Api(f"https://localhost:{secure}").get("/loads") == {}
    with pytest.raises(NoAnswer, match="cannot be trusted: IP address mismatch"):
        Api(f"https://127.0.0.1:{secure}").get("/loads")


@pytest.mark.parametrize("text", [None, "nothing"])
def test_ssl_cert_file_without_certificates_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    named = tmp_path / "ca.pem"
    if text is not None:
        named.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    with pytest.raises(CommandError, match=f"SSL_CERT_FILE is not a file of certificates: {named}"):
        Api("https://localhost:1").get("/loads")
