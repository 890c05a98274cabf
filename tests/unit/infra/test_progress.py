"""The progress of an installation: the installer's lines become milestones, and no silence is long."""

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
    milestones, states = [], []
    for line in SAID.splitlines():
        milestones.append(at.hear(line))
        states.append(str(at).removeprefix("the Python environment: "))
    assert [text for text in milestones if text] == [
        "the Python environment: 59 packages are needed",
        "the Python environment: 52 of 59 packages downloaded in 3.84s",
        "the Python environment: 59 packages installed in 302ms",
    ]
    large = "downloading 59 packages, {} of the 2 large ones are here; now {}"
    assert states[3] == large.format(0, "fastavro, 3.5 MB")
    assert states[4] == large.format(1, "botocore, 16.1 MB")
    assert states[6] == "building localstack-client==2.12"
    assert states[7] == "copying 59 packages"


def test_a_silence_ends_with_a_line_about_the_current_work() -> None:
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


def test_a_silence_without_named_work_repeats_the_last_milestone() -> None:
    broken = threading.Event()
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        if text.startswith("still"):
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
    ("output", "message"),
    [
        (UV_REFUSED, "the packages cannot be downloaded (connection refused): nothing was changed; see to the network"),
        (UV_NO_NAME, "the packages cannot be downloaded (dns error): nothing was changed; see to the network"),
        (
            PIP_REFUSED,
            "the packages cannot be downloaded (connection refused): nothing was changed; see to the network",
        ),
        (UV_FULL, "the disk is full"),
        (PIP_FULL, "the disk is full"),
        (HASH, "a package is not the one that .venv wants, by its hash: nothing was changed"),
        (CERTIFICATE, "the server of the packages shows a certificate that is not trusted here"),
        ("error: no such option\n", "the packages cannot be installed: error: no such option"),
        ("", "the packages cannot be installed: the installer says nothing"),
    ],
)
def test_a_failure_is_explained_in_one_line(output: str, message: str) -> None:
    line = failures.explain(output, ROOT / ".venv")
    assert line.startswith(message)
    assert "\n" not in line


def test_uv_uses_the_indexes_of_pips_configuration() -> None:
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


def test_without_pip_the_message_names_the_package_that_has_it() -> None:
    assert "apt install python3.12-venv" in str(tools.no_pip((3, 12)))


@pytest.mark.parametrize("name", CUMULATIVE[1:])
def test_some_command_installs_each_set(name: str) -> None:
    assert f"install.sh {name}" in (ROOT / "Makefile").read_text()
