"""Tests how an installation shows its progress. It prints milestones from the installer's output. If nothing has been
printed for a while, it prints what is going on."""

import threading

import pytest

from infra.install import failures, tools
from infra.install.progress import Installation
from infra.install.sets import CUMULATIVE
from infra.progress import QUIET, Progress
from infra.venv import ROOT

SAID = """\
Using Python 3.11.7 environment at: .venv
Resolved 59 packages in 414ms
Downloading fastavro (3.5MiB)
Downloading botocore (16.1MiB)
 Downloaded fastavro
   Building localstack-client==2.12
 Downloaded botocore
Prepared 52 packages in 3.84s
Installed 59 packages in 302ms
 + alembic==1.20.1
"""


def test_the_installers_lines_become_milestones_and_counts() -> None:
    at = Installation("the Python environment")
    messages, states = [], []
    for line in SAID.splitlines():
        messages.append(at.hear(line))
        states.append(str(at).removeprefix("the Python environment: "))
    assert [text for text in messages if text] == [
        "the Python environment: 59 packages are needed",
        "the Python environment: 52 of 59 packages downloaded in 3.84s",
        "the Python environment: 59 packages installed in 302ms",
    ]
    large = "downloading 59 packages, {} of the 2 large ones are done; now {}"
    assert states[3] == large.format(0, "fastavro, 3.5 MB")
    assert states[4] == large.format(1, "botocore, 16.1 MB")
    assert states[6] == "building localstack-client==2.12"
    assert states[7] == "copying 59 packages"


def test_during_a_silence_the_current_work_is_reported() -> None:
    assert QUIET < 5
    lines: list[str] = []
    broken = threading.Event()

    def say(text: str) -> None:
        lines.append(text)
        if text.startswith("downloading"):
            broken.set()

    progress = Progress(say, quiet=0.01)
    with progress.running():
        progress.say("installing")
        with progress.doing(lambda: "downloading botocore"):
            assert broken.wait(20)
    assert lines[0] == "installing"
    assert "downloading botocore (0 s)" in lines


def test_the_last_milestone_is_repeated_if_no_work_is_named() -> None:
    broken = threading.Event()
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        if text.startswith("still working: chalice deploy"):
            broken.set()

    progress = Progress(say, quiet=0.01)
    with progress.running():
        progress.say("chalice deploy")
        assert broken.wait(20)
    assert "still working: chalice deploy (0 s)" in lines


UV_REFUSED = """\
error: Request failed after 2 retries in 3.2s
  cause: Failed to fetch: http://127.0.0.1:9/simple/uv/
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
UV_NO_NAME = UV_REFUSED.replace("tcp connect error", "dns error")
UV_FULL = """\
error: Failed to download `ministack==1.5.33`
  cause: I/O operation failed during extraction
  cause: failed to write to file `/c/.tmpTdx6eE/iot.py`: No space left on device (os error 28)
"""
PIP_REFUSED = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<object at 0x7f>: Failed to establish
 a new connection: [Errno 111] Connection refused')': /simple/uv/
ERROR: Could not find a version that satisfies the requirement uv==0.13.9 (from versions: none)
"""
PIP_FULL = "shutil.Error: [('/tmp/bin/uv', '/c/uv', \"[Errno 28] No space left on device: '/tmp/bin/uv'\")]\n"
HASH = "error: Hash mismatch for `alpha==1.0`\n\nExpected:\n  sha256:00\n\nComputed:\n  sha256:11\n"
CERTIFICATE = (
    "error: Request failed\n  cause: invalid peer certificate: UnknownIssuer\n  cause: client error (Connect)\n"
)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (UV_REFUSED, "the packages cannot be downloaded (connection refused): nothing was changed; check the network"),
        (UV_NO_NAME, "the packages cannot be downloaded (dns error): nothing was changed; check the network"),
        (
            PIP_REFUSED,
            "the packages cannot be downloaded (connection refused): nothing was changed; check the network",
        ),
        (UV_FULL, "the disk is full"),
        (PIP_FULL, "the disk is full"),
        (HASH, "a package for .venv does not have the hash in its lock file: nothing was changed"),
        (CERTIFICATE, "the certificate of the package index is not trusted here"),
        ("error: no such option\n", "the packages cannot be installed: error: no such option"),
        ("", "the packages cannot be installed: the installer printed no message"),
    ],
)
def test_a_failed_installation_is_explained_in_one_line(output: str, expected: str) -> None:
    line = failures.explain(output, ROOT / ".venv")
    assert line.startswith(expected)
    assert "\n" not in line


def test_uv_uses_the_package_indexes_of_pip() -> None:
    configuration = (
        ":env:.index-url='https://b.example/simple'\n:env:.timeout='10'\n"
        "global.cert='/etc/ca.pem'\nglobal.extra-index-url='https://c.example/simple\\nhttps://d.example/simple'\n"
        "global.index-url='https://a.example/simple'\ninstall.find-links='/wheels /more'\n"
    )
    assert tools.translated(configuration) == {
        "UV_DEFAULT_INDEX": "https://b.example/simple",
        "UV_INDEX": "https://c.example/simple https://d.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_FIND_LINKS": "/wheels,/more",
    }
    assert tools.translated("global.no-index='true'\n") == {"UV_NO_INDEX": "1"}
    assert tools.translated("") == {}


def test_the_error_about_a_missing_pip_names_the_debian_package() -> None:
    assert "apt install python3.12-venv" in str(tools.no_pip((3, 12)))


@pytest.mark.parametrize("name", CUMULATIVE[1:])
def test_every_set_is_installed_by_a_make_target(name: str) -> None:
    assert f"install.sh {name}" in (ROOT / "Makefile").read_text()
