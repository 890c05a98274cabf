"""`make verify-backups` invokes the function `verify` for each restore point, and prints a line for each file."""

from collections.abc import Callable, Mapping
from typing import Any

Invoke = Callable[[str, Mapping[str, Any]], Any]


def verify_backups(invoke: Invoke, restore_point: str | None, *, every: bool) -> int:
    """Verify a restore point, or the newest one if its name is None. With `every`, also verify all older ones.

    Return the exit status.
    """
    points = faults = 0
    wanted = restore_point
    while points == 0 or (every and wanted):
        report = invoke("verify", {"restore_point": wanted})
        points += 1
        faults += _show(report)
        wanted = report["older"]
    print(f"{_count(points, 'restore point')} verified, {_count(faults, 'fault')}", flush=True)
    return 1 if faults else 0


def _show(report: Mapping[str, Any]) -> int:
    """Print the result for one restore point. Return the number of faults."""
    point, faults = report["restore_point"], [("manifest", fault) for fault in report["faults"]]
    print(f"{point}  {'faulty' if faults or any(t['faults'] for t in report['tables'].values()) else 'ok'}")
    for name, table in report["tables"].items():
        verdict = "faulty" if table["faults"] else "ok"
        print(f"{point}  {name:<16} {table['rows']:>10} rows {table['bytes']:>12} bytes  {verdict}")
        faults += [(name, fault) for fault in table["faults"]]
    for note in report["notes"]:
        print(f"{point}  note: {note}")
    for name, fault in faults:
        print(f"{point}  {name}: {fault}", flush=True)
    return len(faults)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
