"""Decides how `make test` distributes the test files to its processes, the workers of pytest-xdist.

A worker is one of these processes. It gets whole files, so that the fixtures of a file are created only once. Long
files come first, so that all workers are busy until the end. One worker gets all files that need the deployed stage of
tests/e2e, so that the stage is deployed only once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdist.scheduler.loadscope import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# Long files outside the shared stage, with their approximate CPU time in seconds. The times need not be exact, because
# they only put the files in order.
LONG = {
    "tests/e2e/test_upgrade.py": 75,
    "tests/e2e/test_account.py": 70,
    "tests/other/test_surfaces.py": 85,
    "tests/other/test_loads.py": 60,
    "tests/other/test_stage.py": 35,
    "tests/e2e/test_new_shape.py": 70,
    "tests/faults/test_witness.py": 60,
    "tests/integration/infra/test_gate.py": 40,
    "tests/integration/test_recipes.py": 90,
    "tests/integration/migrations/test_release_before.py": 45,
    "tests/integration/backups/test_backup_crashes.py": 35,
    "tests/integration/infra/test_package.py": 35,
    "tests/integration/infra/test_stacks.py": 30,
    "tests/integration/infra/test_embedded_postgres.py": 30,
    "tests/unit/formats/test_csv_reader.py": 25,
    "tests/integration/api/test_check.py": 24,
    "tests/integration/api/test_api_fuzz.py": 18,
    "tests/integration/api/test_api_hostile.py": 17,
    "tests/integration/test_model.py": 15,
    "tests/integration/backups/test_backups.py": 14,
    "tests/integration/ingest/test_continuing.py": 12,
    "tests/integration/ingest/test_hostile_files.py": 11,
    "tests/integration/infra/test_cloud_front.py": 11,
    "tests/integration/backups/test_damaged_backups.py": 11,
    "tests/integration/cli/test_cli.py": 11,
    "tests/integration/infra/test_lake.py": 10,
    "tests/integration/backups/test_verify.py": 10,
    "tests/integration/ingest/test_interleavings.py": 10,
    "tests/integration/recovery/test_redrive.py": 10,
    "tests/integration/cloud/test_database.py": 10,
    "tests/integration/recovery/test_landing_sweep.py": 9,
    "tests/integration/cloud/test_delivery.py": 8,
    "tests/integration/api/test_access.py": 7,
    "tests/integration/ingest/test_integrity.py": 7,
    "tests/integration/api/test_api_uploads.py": 6,
}
SHORT = 3  # the assumed seconds of every other file
LAST = ("tests/e2e/test_schedules.py",)  # this file waits for a schedule, so other files run before it
# These files in tests/e2e start an embedded cloud of their own, in a folder of their own.
WITH_OWN_CLOUD = ("tests/e2e/test_account.py", "tests/e2e/test_new_shape.py", "tests/e2e/test_upgrade.py")


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def needs_stage(file: str) -> bool:
    """Return whether the tests of a file use the shared stage of tests/e2e."""
    return file.startswith("tests/e2e/") and file not in WITH_OWN_CLOUD


def in_order(files: Sequence[str]) -> list[str]:
    """Return the files in the order in which they run: the longest ones first, and the files of LAST at the end."""
    return sorted(files, key=lambda file: (file in LAST, -LONG.get(file, SHORT), file))


def next_of(files: Sequence[str], *, keeps_stage: bool) -> str | None:
    """Return the file that a worker gets next, or None if all remaining files are for another worker.

    `keeps_stage` says whether this worker has the stage. That worker first gets all files that need the stage, and then
    other files.
    """
    ordered = in_order([file for file in files if keeps_stage or not needs_stage(file)])
    return next(iter([*filter(needs_stage, ordered), *ordered]), None)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no type hints
    """Distributes whole files to the workers."""

    def _split_scope(self, nodeid: str) -> str:
        return file_of(nodeid)

    def _assign_work_unit(self, node: "WorkerController") -> None:
        file = self._next_for(node)
        if file is not None:
            self.workqueue.move_to_end(file, last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: "WorkerController") -> None:
        if self._next_for(node) is None and not node.shutting_down:
            node.shutdown()  # the worker finishes its current files first
        else:
            super()._reschedule(node)

    def _next_for(self, node: "WorkerController") -> str | None:
        keeper = next(iter(self.assigned_work))  # the first worker keeps the stage, or the worker that replaced it
        return next_of(list(self.workqueue), keeps_stage=node is keeper)
