"""Tests that every file that S3 has accepted is loaded once. This must be true even if events are lost, or if workers
or the whole cloud crash."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.local.aws import EmbeddedAws
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role
from tests.e2e.cloud import FINAL, Cloud, until

FILES, ROWS = 40, 1_000_000


@pytest.fixture(autouse=True)
def ours(cloud: Cloud, stage: str | None) -> Iterator[None]:
    """Start the stage again if a test has failed while the stage was down. Otherwise later tests would fail, too."""
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not stop it")
    yield
    if "stopped" in cloud.commands.status().values():
        up_again(cloud)


@contextmanager
def without_trigger(cloud: Cloud) -> Iterator[None]:
    """Stop S3 from sending events for new objects, during the `with` block."""
    bucket = cloud.env["LANDING_BUCKET"]
    usual: Any = cloud.s3.get_bucket_notification_configuration(Bucket=bucket)
    del usual["ResponseMetadata"]
    cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=usual)


def put_files(cloud: Cloud, name: str) -> set[str]:
    return {cloud.put(f"{name}/departments_{number}.csv", f"{number},Sales\n") for number in range(1, FILES + 1)}


def statuses(cloud: Cloud, sources: set[str]) -> Counter[tuple[str, str]]:
    """Return the number of loads of these sources, by source and status."""
    rows = cloud.sql("SELECT source, status FROM loads WHERE version IS NOT NULL")
    return Counter((source, status) for source, status in rows if source in sources)


def all_loaded_once(cloud: Cloud, sources: set[str]) -> None:
    """Wait for the loads of these sources. Check that each source has exactly one load, and that this load has
    succeeded."""

    def ended() -> bool:
        loads = statuses(cloud, sources)
        return {source for source, status in loads if status in FINAL} == sources

    until(ended, f"the end of {len(sources)} loads")
    assert statuses(cloud, sources) == Counter((source, "succeeded") for source in sources)


def up_again(cloud: Cloud) -> None:
    cloud.commands.up()
    cloud.env = cloud.commands.state.read_env()
    cloud.__post_init__()


def kill(cloud: Cloud) -> None:
    folder = cloud.commands.state.folder
    EmbeddedAws(folder / "aws").kill()
    Postgres(home_of(folder), Role("", "")).kill()


def put_large(cloud: Cloud, name: str) -> str:
    """Put a large file into the landing bucket, and wait until its load is running. Return the source of the load."""
    source = cloud.put(name, "".join(f"{number},Clerk {number}\n" for number in range(1, ROWS + 1)))
    reading = f"SELECT received FROM loads WHERE source = '{source}' AND status = 'running' AND received > 0"
    until(lambda: cloud.sql(reading), "the middle of the load")
    return source


def sweep(cloud: Cloud) -> int:
    """Wait until the sweep that `make up` starts has begun. Then run another sweep, as after a restart.

    Return the number of objects whose events were offered again.
    """
    until(lambda: cloud.sql("SELECT 1 FROM landing_sweep WHERE swept_at > now() - interval '10 minutes'"), "a sweep")
    return int(cloud.commands.invoke_scheduled("sweep", {"restarted": True})["offered"])


def finish_earlier_loads(cloud: Cloud) -> None:
    """Wait for loads that an earlier test has left, for example because it failed. A sweep would offer them."""
    unfinished = "SELECT 1 FROM loads WHERE version IS NOT NULL AND status IN ('queued', 'running')"
    until(lambda: sweep(cloud) == 0 and not cloud.sql(unfinished), "the end of the earlier loads")


def test_objects_whose_events_never_came_are_loaded(cloud: Cloud) -> None:
    sweep(cloud)
    with without_trigger(cloud):
        sources = put_files(cloud, "swallowed")
    cloud.commands.invoke("sweep")
    assert statuses(cloud, sources).total() == 0, "the files are too young: their events may still come"
    assert sweep(cloud) == FILES
    all_loaded_once(cloud, sources)
    assert cloud.table("departments") == [(number, "Sales") for number in range(1, FILES + 1)]
    assert sweep(cloud) == 0


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_files_that_came_at_the_last_moment_are_loaded(cloud: Cloud, how: str) -> None:
    sources = put_files(cloud, how)
    if how == "stopped":
        cloud.commands.down()
    else:
        kill(cloud)
    up_again(cloud)
    all_loaded_once(cloud, sources)


def test_no_file_is_loaded_again(cloud: Cloud) -> None:
    """After a crash and a restart, the sweep must not load any of these files again: files that came in different ways,
    and a deleted file."""
    bucket = cloud.env["LANDING_BUCKET"]
    finish_earlier_loads(cloud)
    for name in ("Old", "New"):
        cloud.upload("departments.csv", f"1,{name}\n")
    cloud.upload("departments_withdrawn.csv", "2,Gone\n")
    cloud.s3.delete_object(Bucket=bucket, Key="departments_withdrawn.csv")
    cloud.upload("notes.txt", "no dataset")
    before = cloud.newest_load()
    cloud.s3.copy_object(Bucket=bucket, Key="departments_copy.csv", CopySource=f"{bucket}/departments.csv")
    cloud.ended(f"s3://{bucket}/departments_copy.csv", before)
    cloud.backup()
    cloud.restore("department")
    history = cloud.sql("SELECT id, version, status, attempts, finished_at FROM loads ORDER BY id")
    kill(cloud)
    up_again(cloud)
    offered = sweep(cloud)
    assert cloud.sql("SELECT id, version, status, attempts, finished_at FROM loads ORDER BY id") == history
    assert offered == 0


def test_down_waits_for_the_end_of_a_large_load(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    source = put_large(cloud, "jobs_down.csv")
    cloud.commands.down()
    # The line may also name a backup.
    assert re.search(r"waiting at most 20 s for .*\bload \d", capsys.readouterr().out)
    up_again(cloud)
    all_loaded_once(cloud, {source})
    assert cloud.sql("SELECT count(*) FROM jobs") == [(ROWS,)]


def test_a_large_load_that_was_killed_is_loaded_once(cloud: Cloud) -> None:
    """The whole cloud is killed three times during the load. A load has only three attempts, but it still succeeds."""
    source = put_large(cloud, "jobs_killed.csv")
    begun = f"SELECT 1 FROM loads WHERE source = '{source}' AND (received > 0 OR status = 'succeeded')"
    for _ in range(3):
        kill(cloud)
        up_again(cloud)
        until(lambda: cloud.sql(begun), "the middle of the next attempt")
    all_loaded_once(cloud, {source})
    assert cloud.sql("SELECT count(*) FROM jobs") == [(ROWS,)]


def test_up_again_while_a_load_is_running_does_not_disturb_it(cloud: Cloud) -> None:
    source = put_large(cloud, "jobs_up.csv")
    cloud.commands.up()
    all_loaded_once(cloud, {source})
    [[attempts]] = cloud.sql(f"SELECT attempts FROM loads WHERE source = '{source}'")
    assert attempts == 1
