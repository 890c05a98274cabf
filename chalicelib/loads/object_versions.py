"""Describes an object version of the landing bucket, and finds out which of two versions of a key is newer."""

from dataclasses import dataclass

from chalicelib.cloud.statements import Statement


@dataclass(frozen=True)
class ObjectCreated:
    """An object version that was created in the landing bucket. `version` is unique among the versions of its key."""

    key: str
    source: str
    version: str
    version_id: str | None
    sequencer: str | None


def newest_loaded(created: ObjectCreated) -> Statement:
    """Return the query for (version, sequencer) of the newest loaded versions of a key. The version `created` itself is
    left out.

    There are at most two such versions: the newest version with a sequencer, and the version without a sequencer that
    was loaded last. Object versions that the sweep has offered have no sequencer. Among these, the version that was
    loaded last is the newest, because a load of an older version would have been skipped.
    """
    loaded = (
        "SELECT version, sequencer FROM loads WHERE source = :source AND version <> :version AND status = 'succeeded'"
    )
    order = "rpad(sequencer, 64, '0') COLLATE \"C\" DESC, finished_at DESC, id DESC"
    return Statement(
        f"({loaded} AND sequencer IS NOT NULL ORDER BY {order} LIMIT 1)"
        f" UNION ALL ({loaded} AND sequencer IS NULL ORDER BY finished_at DESC, id DESC LIMIT 1)",
        {"source": created.source, "version": created.version},
    )


def compare_sequencers(one: str | None, other: str | None) -> int:
    """Return a negative number if `one` is older than `other`, and a positive number if `one` is newer. Return 0 if
    the order is unknown.

    S3 documents how to compare two sequencers: append zeros to the shorter one, then compare them as strings.
    """
    if not one or not other:
        return 0
    width = max(len(one), len(other))
    a, b = one.upper().ljust(width, "0"), other.upper().ljust(width, "0")
    return (a > b) - (a < b)
