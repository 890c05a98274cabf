"""Compares what a check says about a file with what the load of this file then does."""

from collections.abc import Mapping
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.core.errors import LoadError
from chalicelib.ingest.dryrun import Outcome, dry_run
from chalicelib.loads import history
from tests.integration.landing import Landing

COUNTS = ("received", "inserted", "updated", "unchanged", "superseded", "rejected")
SHOWN = ("line", "reasons", "fields", "codes", "raw", "row")


def checked(
    landing: Landing, dataset: Dataset, body: bytes, *, limit: int = 20, declared: Declarations = UNDECLARED
) -> Outcome | str:
    """Return the outcome of a dry run that shows at most `limit` rejects, or the reason why the file cannot be read."""
    try:
        return dry_run(landing.database, dataset, body, limit=limit, declared=declared)
    except LoadError as error:
        return error.detail


def assert_same(landing: Landing, outcome: Outcome | str, load: Mapping[str, Any], *, limit: int = 20) -> None:
    """Check that a load has ended as its check said."""
    if isinstance(outcome, str):
        assert (load["status"], load["error"]) == ("failed", outcome)
        return
    assert (outcome.status, outcome.error) == (load["status"], load["error"])
    assert (outcome.format, outcome.notices) == (load["format"], load["notices"])
    assert [vars(outcome.counts)[name] for name in COUNTS] == [load[name] for name in COUNTS]
    assert outcome.waiting == load["waiting"]
    with landing.database.session() as session:
        found = history.reject_counts(session, load["id"])
    assert found is not None
    assert found.reasons == outcome.reasons
    records = landing.rejects(dict(load))
    assert outcome.rejects == [{name: record[name] for name in SHOWN} for record in records[:limit]]
    assert len(records) == outcome.counts.rejected <= sum(reason["count"] for reason in outcome.reasons)
    assert all(1 <= reason["count"] <= outcome.counts.rejected for reason in outcome.reasons)
