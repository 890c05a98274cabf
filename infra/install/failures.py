"""Explains a failed installation in one line, with what to do. The patterns match messages of pip and uv."""

import errno
import re
from pathlib import Path

from cli.disk import is_full

AGAIN = "then run the same command again"
_FORBIDDEN = re.compile(r"permission denied|read-only file system|operation not permitted", re.I)
_NETWORK = re.compile(
    r"dns error|failed to lookup address|name resolution|name or service not known|nodename nor servname"
    r"|connection refused|connection reset|network is unreachable|no route to host|timed out|tunnel"
    r"|error sending request|client error \(connect\)|failed to fetch|max retries exceeded|newconnectionerror"
    r"|proxyerror",
    re.I,
)
_CERTIFICATE = re.compile(r"invalid peer certificate|certificate[ _]verify[ _]failed|self[- ]signed certificate", re.I)
_HASH = re.compile(r"hash mismatch|hashes do not match|do not match the hashes", re.I)
_REASONS = re.compile(
    r"(dns error|connection refused|connection reset|network is unreachable|no route to host|timed out"
    r"|name or service not known|temporary failure in name resolution|failed to lookup address[^:]*|tunnel [^:]*)",
    re.I,
)


def explain(output: str, home: Path) -> str:
    """Return the message for the `output` of an installer that failed to fill the environment in `home`."""
    if is_full(output):
        return full(home)
    if _CERTIFICATE.search(output):
        return (
            "the certificate of the package index is not trusted here: set SSL_CERT_FILE and PIP_CERT to a file "
            f"with your certificate authorities, {AGAIN}"
        )
    if _NETWORK.search(output):
        reason = _REASONS.search(output)
        why = f" ({reason[0].strip().lower()})" if reason else ""
        return f"the packages cannot be downloaded{why}: nothing was changed; check the network or proxy, {AGAIN}"
    if _HASH.search(output):
        wrong = f"a package for {home.name} does not have the hash in its lock file"
        return f"{wrong}: nothing was changed; {_last(output)}"
    if _FORBIDDEN.search(output):
        return f"a file cannot be written: {_last(output)}: correct its permissions, {AGAIN}"
    return f"the packages cannot be installed: {_last(output)}"


def comes_first(output: str) -> bool:
    """Return whether the failure in `output` happened before any package was installed."""
    found = any(pattern.search(output) for pattern in (_CERTIFICATE, _NETWORK, _HASH))
    return found and not is_full(output) and "Prepared " not in output


def of_system(error: OSError, home: Path) -> str:
    """Return the message for a failed system call."""
    if is_full(error):
        return full(home)
    where = error.filename or home
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} cannot be written: {error.strerror}: use your own checkout, or correct the permissions"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{where} is not a folder: move it away, {AGAIN}"
    return f"{where}: {error.strerror}"


def full(home: Path) -> str:
    return f"the disk is full: docs/commands.md says how much space is needed; free some space for {home}, {AGAIN}"


def _last(output: str) -> str:
    lines = [line.strip(" ╰─▶├│×>-") for line in output.splitlines()]
    return " | ".join([line for line in lines if line][-3:]) or "the installer printed no message"
