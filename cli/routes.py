"""Finds the proxy that leads to an address, and the certificates that TLS trusts."""

import os
import ssl
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from cli.errors import Misuse

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def proxy_of(url: str) -> str | None:
    """Return the proxy for `url` from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. Their case does not matter.

    Return None for a direct connection. Connections to this machine are always direct. Raises Misuse for a proxy that
    is not an HTTP proxy.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    found = getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    if not proxy or host in _LOOPBACK or host.startswith("127.") or proxy_bypass(_named(parts)):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise Misuse(f"the proxy {without_password(proxy)} is not supported: use an HTTP proxy")
    return proxy


def _named(parts: SplitResult) -> str:
    """Return host and port as NO_PROXY may name them."""
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def credentials_of(proxy: str) -> str | None:
    """Return `user:password` from a proxy's address, or None."""
    parts = urlsplit(proxy)
    return None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def trust() -> ssl.SSLContext:
    """Return a TLS context that verifies certificates and host names.

    It trusts the system's certificate authorities and those in SSL_CERT_FILE. Raises Misuse if SSL_CERT_FILE names no
    file with certificates, because OpenSSL would ignore the mistake.
    """
    context = ssl.create_default_context()
    named = os.environ.get("SSL_CERT_FILE")
    if named:
        try:
            context.load_verify_locations(Path(named))
        except OSError as error:
            raise Misuse(f"SSL_CERT_FILE is not a file of certificates: {named}: {error.strerror or error}") from None
    return context
