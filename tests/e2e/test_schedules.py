"""Tests the schedules of the stage. These tests run last, because they wait for a schedule."""

from chalicelib.core.schedules import BACKUP_MINUTES
from tests.e2e.cloud import Cloud, until

LATEST = 60 * BACKUP_MINUTES + 90  # seconds to wait at most for the schedule


def test_the_schedule_makes_a_backup(cloud: Cloud) -> None:
    """Wait until there is a restore point that no test has made. Only the schedule can have made such a restore
    point."""
    cloud.post("/department/upload", {"department": "Changed"})

    def scheduled() -> set[str]:
        return set(cloud.restore_points()) - set(cloud.backups)

    until(scheduled, "a scheduled backup", LATEST)


def test_the_schedules_have_the_documented_intervals(cloud: Cloud) -> None:
    rules = {rule["Name"]: rule for rule in cloud.rules()}
    for function in ("backup", "sweep"):
        [rule] = [rule for name, rule in rules.items() if function in name]
        assert (rule["ScheduleExpression"], rule["State"]) == ("rate(3 minutes)", "ENABLED")
    [relay] = [rule for name, rule in rules.items() if "relay" in name]
    assert (relay["ScheduleExpression"], relay["State"]) == ("rate(1 minute)", "ENABLED")
    [verify] = [rule for name, rule in rules.items() if "verify" in name]
    assert (verify["ScheduleExpression"], verify["State"]) == ("rate(1 day)", "ENABLED")
