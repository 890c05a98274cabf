"""What happens by itself. Run last: a schedule takes its time."""

from chalicelib.core.schedules import BACKUP_MINUTES
from tests.e2e.cloud import Cloud, until

LATEST = 60 * BACKUP_MINUTES + 90  # seconds


def test_a_backup_comes_by_itself(cloud: Cloud) -> None:
    """A restore point that nobody asked for: since the cloud is up, or else with the next turn."""
    cloud.post("/department/upload", {"department": "Changed"})

    def unasked() -> set[str]:
        return set(cloud.restore_points()) - set(cloud.backups)

    until(unasked, "a scheduled backup", LATEST)


def test_the_schedules_are_what_is_promised(cloud: Cloud) -> None:
    rules = {rule["Name"]: rule for rule in cloud.rules()}
    for function in ("backup", "sweep"):
        [rule] = [rule for name, rule in rules.items() if function in name]
        assert (rule["ScheduleExpression"], rule["State"]) == ("rate(3 minutes)", "ENABLED")
    [verify] = [rule for name, rule in rules.items() if "verify" in name]
    assert (verify["ScheduleExpression"], verify["State"]) == ("rate(1 day)", "ENABLED")
