"""How `make test` spreads the tests over its processes (pytest-xdist's workers).

The unit is a file, so that its fixtures are made once. The long files come first, so that all workers are busy until
the end. Everything that needs the deployed stage of tests/e2e goes to one worker, which deploys it once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdist.scheduler.loadscope import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# Files that take long: about how many seconds on two cores, the other worker busy. Only their order matters.
LONG = {
    "tests/e2e/test_account.py": 100,
    "tests/e2e/test_upgrade.py": 100,
    "tests/faults/test_witness.py": 90,
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


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out whole files."""

    def _split_scope(self, nodeid: str) -> str:
        return file_of(nodeid)

    def _assign_work_unit(self, node: "WorkerController") -> None:
        """Give a worker the next file that it may have. All of `workqueue` is one that `next_for` has looked at."""
        found = self.next_for(node)
        if found is not None:
            self.workqueue.move_to_end(found, last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: "WorkerController") -> None:
        if self.next_for(node) is None and not node.shutting_down:
            node.shutdown()  # when it has done what it has
        else:
            super()._reschedule(node)

    def next_for(self, node: "WorkerController") -> str | None:
        """The file that a worker is given next, or None if all that is left is for another one.

        The worker of the stage is the first one, or the one that took its place. It begins with what needs the stage,
        and afterwards helps the others.
        """
        keeper = next(iter(self.assigned_work))
        files = in_order([file for file in self.workqueue if node is keeper or not needs_stage(file)])
        of_the_stage = [file for file in files if needs_stage(file)]
        return next(iter([*of_the_stage, *files]), None)
