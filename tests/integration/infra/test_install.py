"""Tests that a failed installation prints one line that says what to do. When the problem is solved, the same command
continues the installation.

These tests run `infra/install.sh`, as `make` and `./hireflow` do, with the real uv and a checkout of small packages.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.install import tools
from infra.venv import ROOT
from tests.integration.wheels import Checkout, checkout

REFUSED = "http://127.0.0.1:9/simple"  # no server listens on this port, so connections are refused
OLD = sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python")) + sorted(
    Path.home().glob(".pyenv/versions/3.10.*/bin/python")
)
BY_PIP = {"UV_NO_INDEX": "", "UV_FIND_LINKS": ""}  # without these, uv uses the indexes of pip
INTERRUPTED = "interrupted: run the same command again to continue\n"


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the installer, uv, as pip has fetched it."""
    folder = tmp_path_factory.mktemp("uv")
    tools.fetch_uv(folder, Path(sys.executable), ROOT / "requirements" / "uv.txt", [])
    return folder / "uv"


@pytest.fixture
def here(tmp_path: Path, uv: Path) -> Checkout:
    return checkout(tmp_path, uv)


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a package index that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def failed(result: tuple[int, str, str]) -> str:
    """Check that a command has failed with one line on standard error. Return this line."""
    status, _, err = result
    assert status == 1, result
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_a_command_installs_only_its_own_set_and_only_once(here: Checkout) -> None:
    status, out, err = here.install("local")
    assert (status, err) == (0, "")
    assert "the Python environment: 1 packages are needed" in out
    assert here.has("alpha")
    assert not here.has("beta")
    status, out, _ = here.install("develop", "postgres")
    assert "2 packages installed" in out  # the packages beta and gamma
    assert here.has("beta")
    for names in (("local",), ("deploy",), ("develop", "postgres"), ("runtime", "local")):
        # The command starts no Python: everything is already installed.
        assert here.install(*names, PYTHON="/nonexistent") == (0, "", "")


def test_a_changed_lock_is_installed_again(here: Checkout) -> None:
    here.install("local")
    lock = here.folder / "requirements" / "local.txt"
    lock.write_text((here.folder / "requirements" / "develop.txt").read_text())
    os.utime(lock, (2**31, 2**31))
    assert "1 packages installed" in here.install("local")[1]
    assert here.has("beta")


def test_an_environment_of_the_release_before_is_taken_over(here: Checkout, uv: Path) -> None:
    """The previous release had only one set of packages. It installed the set with pip, and recorded this in another
    file than this release."""
    here.install("develop")
    home = here.folder / ".venv"
    for folder in ("sets", "asked", "uv"):
        shutil.rmtree(home / folder)
    (home / "installed").write_text("7a38e33660d6")
    shutil.copytree(uv, home / "uv")
    status, out, err = here.install("local")
    assert (status, err) == (0, "")
    assert "all 1 packages are already installed" in out
    assert here.has("beta")


@pytest.mark.parametrize("there", [True, False], ids=["of-uv", "of-pip"])
def test_without_a_network_nothing_changes_and_the_next_command_goes_on(tmp_path: Path, uv: Path, there: bool) -> None:
    here = checkout(tmp_path, uv if there else None)
    line = failed(here.install("local", **BY_PIP, PIP_INDEX_URL=REFUSED))
    assert "cannot be downloaded (connection refused): nothing was changed" in line
    assert not (here.folder / ".venv" / "asked").exists()
    if not there:
        shutil.copytree(uv, here.folder / ".venv" / "uv")
    assert here.install("local")[0] == 0
    assert here.has("alpha")


def test_a_package_with_another_hash_is_refused(here: Checkout) -> None:
    lock = here.folder / "requirements" / "local.txt"
    lock.write_text("alpha==1.0 --hash=sha256:" + "0" * 64)
    assert "does not have the hash in its lock file" in failed(here.install("local"))
    assert not here.has("alpha")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_is_named(tmp_path: Path, uv: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        here = checkout(small / "checkout", None)
        (here.folder / ".venv").mkdir()
        (here.folder / ".venv" / "uv").symlink_to(uv)
        ballast = small / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4096"], capture_output=True, check=False)
        assert "the disk is full" in failed(here.install("local"))
        ballast.unlink()
        assert here.install("local")[0] == 0
        assert here.has("alpha")
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@pytest.mark.parametrize("there", [True, False], ids=["uv", "pip"])
def test_ctrl_c_prints_one_line_and_the_same_command_goes_on(
    tmp_path: Path, uv: Path, silent: str, there: bool
) -> None:
    here = checkout(tmp_path, uv if there else None)
    process = here.start("local", **BY_PIP, PIP_INDEX_URL=silent)
    assert process.stdout
    waiting = "asking the package index for files (" if there else "fetching the installer, uv ("
    assert any(waiting in line for line in process.stdout)  # printed within seconds, although uv and pip are silent
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, INTERRUPTED)
    if not there:
        shutil.copytree(uv, here.folder / ".venv" / "uv")
    assert here.install("local")[0] == 0
    assert here.has("alpha")


def test_an_installation_that_was_killed_is_repaired(here: Checkout) -> None:
    """uv treats a package that has metadata as installed, even if some of its files are missing."""
    here.install("local")
    home = here.folder / ".venv"
    [module] = home.glob("lib/*/site-packages/alpha.py")
    module.unlink()  # the file is a link into uv's cache, where nothing must change
    module.write_text("")
    for folder in ("sets", "asked"):
        shutil.rmtree(home / folder)
    (home / "unfinished").touch()
    assert not here.has("alpha")
    assert here.install("local")[0] == 0
    assert here.has("alpha")
    assert not (home / "unfinished").exists()


def half_made(here: Checkout, name: str) -> None:
    """Install a set of packages, and kill uv while it copies packages. Afterwards the package alpha has metadata, but
    its module is missing."""
    uv = here.folder / ".venv" / "uv" / "bin" / "uv"
    uv.rename(uv.with_name("whole"))
    uv.write_text(f"#!/bin/sh\nrm -f '{here.folder}'/.venv/lib/python*/site-packages/alpha.py\nkill -9 $$\n")
    uv.chmod(0o755)
    assert here.install(name)[0] == 1
    uv.with_name("whole").replace(uv)
    assert not here.has("alpha")


def test_a_kill_in_a_larger_installation_leaves_no_smaller_set_broken(here: Checkout) -> None:
    here.install("local")
    (
        here.folder / ".venv" / "unfinished"
    ).touch()  # as after an interruption, so the next command installs everything again
    half_made(here, "develop")
    assert here.install("local")[0] == 0
    assert here.has("alpha")


def test_an_interrupted_installation_is_repaired_even_after_that_of_a_smaller_set(here: Checkout) -> None:
    here.install("develop")
    (here.folder / ".venv" / "unfinished").touch()
    for folder in ("sets", "asked"):
        shutil.rmtree(here.folder / ".venv" / folder)
    half_made(here, "develop")
    assert here.install("local")[0] == 0
    [module] = (here.folder / ".venv").glob("lib/*/site-packages/beta.py")
    module.unlink()
    assert here.install("develop")[0] == 0
    assert here.has("beta")
    assert not (here.folder / ".venv" / "unfinished").exists()


def test_a_failed_download_of_a_larger_set_leaves_the_smaller_one_installed(here: Checkout) -> None:
    here.install("local")
    for _ in range(2):
        failed(here.install("develop", **BY_PIP, PIP_INDEX_URL=REFUSED))
        assert here.install("local", PYTHON="/nonexistent") == (0, "", "")
    assert not (here.folder / ".venv" / "unfinished").exists()


@pytest.mark.parametrize("text", ["exit 0", "exit 1", "echo 'not installed' >&2; exit 127"])
def test_a_program_that_is_not_a_python_is_an_error(here: Checkout, text: str) -> None:
    program = here.folder / "program"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    assert f"error: {program} is not a working Python" in failed(here.install("local", PYTHON=str(program)))


def test_an_environment_whose_python_was_deleted_is_created_again(here: Checkout) -> None:
    here.install("local")
    python = here.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3.11")
    assert here.install("local")[0] == 0
    assert here.has("alpha")


def test_two_commands_at_once_install_once(here: Checkout) -> None:
    both = [here.start("local"), here.start("local")]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("installed in" in out for out, _ in outputs) == 1
    assert here.has("alpha")


@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parts[-3])
def test_an_old_python_says_what_is_needed(here: Checkout, python: Path) -> None:
    old = Checkout(here.folder, python, {**here.environment, "PATH": "/nonexistent"})
    line = failed(run_module(old))
    assert f"this is Python {python.parts[-3]}, and 3.11 or newer is needed" in line
    assert "make PYTHON=python3.12" in line


def run_module(here: Checkout, user: pwd.struct_passwd | None = None) -> tuple[int, str, str]:
    """Run the Python module that install.sh runs. The script itself could not run here, because it needs a PATH."""
    command = [str(here.python), "-m", "infra.install", "local"]
    done = subprocess.run(
        command,
        cwd=here.folder,
        env=here.environment,
        capture_output=True,
        text=True,
        check=False,
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not OLD, reason="no old Python is installed")
def test_an_old_python_starts_a_newer_one_on_the_path(here: Checkout) -> None:
    path = here.folder / "path"
    path.mkdir()
    (path / "python3.14").write_text(
        "#!/bin/sh\necho 'not installed' >&2\nexit 127\n"
    )  # a version manager of Python puts such programs on the PATH
    (path / "python3.14").chmod(0o755)
    (path / "python3.12").symlink_to(here.python)
    old = Checkout(here.folder, OLD[0], {**here.environment, "PATH": str(path)})
    status, out, err = run_module(old)
    assert (status, err) == (0, "")
    assert f"which is too old: using {path}/python3.12" in out
    assert here.has("alpha")


def test_a_missing_python_is_an_error(here: Checkout) -> None:
    assert "error: python3.99 was not found" in failed(here.install("local", PYTHON="python3.99"))


def test_the_error_for_a_python_without_venv_names_the_package_that_has_it(tmp_path: Path) -> None:
    """Debian's Python has neither ensurepip nor pip, although `import venv` works."""
    here = checkout(tmp_path, None)
    (tmp_path / "without").mkdir()
    hide = "import sys\nsys.modules['ensurepip'] = sys.modules['pip'] = None\n"
    (tmp_path / "without" / "sitecustomize.py").write_text(hide)
    line = failed(here.install("local", PYTHONPATH=str(tmp_path / "without")))
    assert f"apt install python3.{sys.version_info.minor}-venv (Debian, Ubuntu)" in line


def test_a_file_with_the_name_of_the_environment_is_an_error(here: Checkout) -> None:
    shutil.rmtree(here.folder / ".venv")
    (here.folder / ".venv").touch()
    assert ".venv is not a folder: move it away, then run the same command again" in failed(here.install("local"))


def test_a_checkout_without_write_access_is_an_error(here: Checkout) -> None:
    """Root may write everywhere. So if root runs this test, the test runs the installation as the user "nobody"."""
    python = here.python if os.geteuid() else shutil.which("python3", path="/usr/bin")
    if python is None or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
        pytest.skip("no Python that all users can run")
    shutil.rmtree(here.folder / ".venv")
    for folder in here.folder.parents:
        if "pytest-of-" in str(folder):  # pytest lets only the owner enter these folders
            folder.chmod(0o711)
    here.folder.chmod(0o555)
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    result = run_module(Checkout(here.folder, Path(python), here.environment), nobody)
    here.folder.chmod(0o755)
    line = failed(result)
    assert ".venv cannot be written: Permission denied: use your own checkout" in line
