"""Object versions in the landing bucket, and which of two versions of a key is the newer one."""

from dataclasses import dataclass

from chalicelib.cloud.database import Session


@dataclass(frozen=True)
class ObjectCreated:
    """An object version in the landing bucket; `version` is unique among the versions of its key."""

    key: str
    source: str
    version: str
    version_id: str | None
    sequencer: str | None


def newest_loaded(session: Session, created: ObjectCreated) -> list[tuple[str, str | None]]:
    """(version, sequencer) of the newest loaded versions of this key, except this one: the newest one with a sequencer,
    and the last loaded one without.

    Objects that the sweep has offered have no sequencer. Among these the last loaded one is the newest, because a
    version that comes after a newer one is skipped.
    """
    loaded = (
        "SELECT version, sequencer FROM loads WHERE source = :source AND version <> :version AND status = 'succeeded'"
    )
    order = "rpad(sequencer, 64, '0') COLLATE \"C\" DESC, finished_at DESC, id DESC"
    rows = session.run(
        f"({loaded} AND sequencer IS NOT NULL ORDER BY {order} LIMIT 1)"
        f" UNION ALL ({loaded} AND sequencer IS NULL ORDER BY finished_at DESC, id DESC LIMIT 1)",
        source=created.source,
        version=created.version,
    )
    return [(version, sequencer) for version, sequencer in rows]


def compare_sequencers(one: str | None, other: str | None) -> int:
    """Negative, zero or positive as `one` is older, unknown or newer.

    S3 compares them as strings after padding the shorter one with zeros on the right.
    """
    if not one or not other:
        return 0
    width = max(len(one), len(other))
    a, b = one.upper().ljust(width, "0"), other.upper().ljust(width, "0")
    return (a > b) - (a < b)
