"""Makes the response to a batch of rows: the counts, and the rejected rows."""

from typing import NotRequired, TypedDict

from chalicelib.core.answer_size import FirstRecords
from chalicelib.ingest.rows import Upload


class RejectedRow(TypedDict):
    """A rejected row of a batch. `index` counts from 0. `row` is the row as it was sent, if the response has room."""

    index: int
    reasons: list[str]
    fields: list[str]
    codes: list[str]
    row: NotRequired[object]


class BatchSummary(TypedDict):
    """The response to a request with a batch of rows. `truncated` is true if the response has no room for all rejected
    rows."""

    load_id: int
    received: int
    inserted: int
    updated: int
    unchanged: int
    superseded: int
    rejected: list[RejectedRow]
    truncated: NotRequired[bool]


def summary(upload: Upload) -> BatchSummary:
    """Return the summary of a request. The counts are always complete. If there is no room for all rejected rows, the
    summary has the reasons of as many rows as possible. The rest of the room is for the first of these rows as sent."""
    counts = upload.counts
    rejected, is_whole = _rejected(upload)
    found: BatchSummary = {
        "load_id": upload.load_id,
        "received": counts.received,
        "inserted": counts.inserted,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "superseded": counts.superseded,
        "rejected": rejected,
    }
    return found if is_whole else {**found, "truncated": True}


def _rejected(upload: Upload) -> tuple[list[RejectedRow], bool]:
    """Return the rejected rows of a batch, and whether nothing is left out."""
    explained = FirstRecords(None)
    rows: list[RejectedRow] = [
        {"index": reject.place, "reasons": reject.reasons, "fields": reject.fields, "codes": reject.codes}
        for reject in upload.rejects
    ]
    for row in rows:
        explained.add(dict(row))
    shown = rows[: len(explained.records)]
    as_sent = FirstRecords(None, explained.room)
    for row in shown:
        as_sent.add({"row": upload.sent[row["index"]]})
    for row, sent in zip(shown, as_sent.records, strict=False):
        row["row"] = sent["row"]
    return shown, len(as_sent.records) == len(rows)
