"""Finds out whether a newer version of an object has been loaded, because an older version must not overwrite its
rows."""

from chalicelib.cloud.statements import Result
from chalicelib.ingest.attempt import Attempt
from chalicelib.loads import object_versions


def is_stale(attempt: Attempt, newest: Result | None = None) -> bool:
    """Return whether a newer version of the object has been loaded. The result True stays right. The result False stays
    right only while the caller holds the lock of the dataset's table. Without the lock, the load of a newer version may
    commit at any moment. `newest` is the result of the query `object_versions.newest_loaded`, if the caller has it."""
    if newest is None:
        [newest] = attempt.session.run_together(object_versions.newest_loaded(attempt.created))
    return any(_is_older(attempt, version, sequencer) for version, sequencer in newest.rows)


def _is_older(attempt: Attempt, version: str, sequencer: str | None) -> bool:
    """Return whether the attempt's object is older than this version of its key."""
    created = attempt.created
    order = object_versions.compare_sequencers(created.sequencer, sequencer)
    if order:
        return order < 0
    versions = attempt.storage.landing.versions(created.key)  # newest first
    if version not in versions or created.version not in versions:
        return False
    return versions.index(created.version) > versions.index(version)
