"""How `make test` spreads the tests over its processes (pytest-xdist's workers).

The unit is a file, so that its fixtures are made once. The long files come first, so that all workers are busy until
the end. Everything that needs the deployed stage of tests/e2e goes to one worker, which deploys it once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdist.scheduler.loadscope import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# Files that take long, but for those of the stage: about how many seconds of CPU time. Only their order matters.
LONG = {
    "tests/e2e/test_upgrade.py": 75,
    "tests/e2e/test_account.py": 70,
    "tests/faults/test_witness.py": 60,
    "tests/integration/infra/test_gate.py": 40,
    "tests/integration/test_recipes.py": 40,
    "tests/integration/backups/test_backup_crashes.py": 35,
    "tests/integration/infra/test_package.py": 35,
    "tests/integration/infra/test_stacks.py": 30,
    "tests/integration/infra/test_embedded_postgres.py": 30,
    "tests/unit/formats/test_csv_reader.py": 25,
    "tests/integration/api/test_check.py": 24,
    "tests/integration/api/test_api_fuzz.py": 18,
    "tests/integration/api/test_api_hostile.py": 17,
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
SHORT = 3  # seconds, of all the others
LAST = ("tests/e2e/test_schedules.py",)  # it waits for a schedule, and the other tests of the stage pass the time
# Tests in tests/e2e that have a cloud of their own, in a folder of their own.
OF_THEIR_OWN = ("tests/e2e/test_account.py", "tests/e2e/test_upgrade.py")


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def needs_stage(file: str) -> bool:
    """Whether the tests of a file share the stage of tests/e2e."""
    return file.startswith("tests/e2e/") and file not in OF_THEIR_OWN


def in_order(files: Sequence[str]) -> list[str]:
    """The long ones first."""
    return sorted(files, key=lambda file: (file in LAST, -LONG.get(file, SHORT), file))


def next_of(files: Sequence[str], *, keeps_stage: bool) -> str | None:
    """The file that a worker is given next, or None if all that is left is for another one.

    The worker that keeps the stage begins with what needs it, and afterwards helps the others.
    """
    ordered = in_order([file for file in files if keeps_stage or not needs_stage(file)])
    return next(iter([*filter(needs_stage, ordered), *ordered]), None)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out whole files."""

    def _split_scope(self, nodeid: str) -> str:
        return file_of(nodeid)

    def _assign_work_unit(self, node: "WorkerController") -> None:
        found = self._next_for(node)
        if found is not None:
            self.workqueue.move_to_end(found, last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: "WorkerController") -> None:
        if self._next_for(node) is None and not node.shutting_down:
            node.shutdown()  # when it has done what it has
        else:
            super()._reschedule(node)

    def _next_for(self, node: "WorkerController") -> str | None:
        keeper = next(iter(self.assigned_work))  # the first worker, or the one that took its place
        return next_of(list(self.workqueue), keeps_stage=node is keeper)
