"""Lets clients upload files directly to the landing bucket. A client gets a form for S3 and the id of a load, which
waits for the file.

The file does not pass through a Lambda function, so Lambda's size limits do not apply. The policy of the form allows
only one key, a maximum size, and one hour (`presigned_post` in `cloud.buckets`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core import timestamps
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import NAMES, UNDECLARED, Declarations, UnknownValue
from chalicelib.core.errors import LoadError, NotFound, TooLate, Unprocessable
from chalicelib.core.rules import MOST_UNKNOWN_KEYS
from chalicelib.ingest import open_rejects
from chalicelib.ingest.file_names import ENDINGS, FileName, dataset_of
from chalicelib.loads import announcements, history, outcomes

FORM_SECONDS: Final = 3600
MAX_SIZE: Final = 5 * 1024**3  # bytes; the limit of S3 for one request
MAX_NAME: Final = 200  # characters; a key may have 1024 bytes, which is enough for these characters and the folders
_MEMBERS = ("dataset", "filename", "size")
_NUMBERS = ("max-rejected", "corrects")
_PATH = re.compile(r"[/\\]")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and surrogates
_LARGER = "send a larger file to the landing bucket in parts, for example with `aws s3 cp`"
_S3_FILLS_IN = "${filename}"  # in the key of a form, S3 replaces this with the file name that the client sends

Fault = dict[str, str | None]


@dataclass(frozen=True)
class Order:
    """A valid request for an upload form. The file has at most `size` bytes. `base_name` is its name in the bucket, in
    which `dataset_of` finds `dataset`. `declared` has the declarations about the file."""

    dataset: Dataset
    base_name: str
    size: int
    declared: Declarations = UNDECLARED

    @property
    def kind(self) -> str:
        name = FileName.of(self.base_name)
        return name.kind if name else "csv"


@dataclass(frozen=True)
class AnnouncedUpload:
    """The load that waits for a file, and the form for the upload: its `url` and its `fields`. The form is valid until
    `expires_at`, in UTC with a precision of seconds. The file will have this `key`."""

    load_id: int
    status_url: str
    url: str
    fields: Mapping[str, str]
    key: str
    expires_at: str


def order_upload(
    database: Database, storage: Storage, body: object, *, limit: int = MAX_SIZE, correlation_id: str | None = None
) -> AnnouncedUpload:
    """Announce the load of a file, and return the form for the upload of the file.

    The first file that is sent with the form belongs to this load. Every further file is a new version of the key, and
    gets its own load. `limit` is the size of the largest file in bytes. Raises Unprocessable if the request is invalid,
    and Unavailable if the database or S3 is unavailable.
    """
    order = checked(body, limit)
    expires_at = datetime.now(UTC) + timedelta(seconds=FORM_SECONDS)
    with database.transaction() as session:  # if the form cannot be made, the load is rolled back
        _require_corrected(session, order)
        load_id, key = announcements.queue_upload(
            session, order.dataset, storage.landing.name, order.base_name, correlation_id, order.kind
        )
        metadata = order.declared.given()
        form = storage.landing.presigned_post(key, size=order.size, seconds=FORM_SECONDS, metadata=metadata)
    expiry = timestamps.text(expires_at, "seconds")
    return AnnouncedUpload(load_id, f"/loads/{load_id}", form.url, form.fields, key, expiry)


def _require_corrected(session: Session, order: Order) -> None:
    """Raise Unprocessable if the file is declared to correct a load that does not exist or has another dataset."""
    if order.declared.corrects is not None:
        try:
            open_rejects.require_load(session, order.dataset, order.declared.corrects)
        except LoadError as error:
            raise _refused([{"field": "corrects", "reason": error.detail}]) from error


def cancel_upload(database: Database, storage: Storage, load_id: int) -> None:
    """Cancel an upload whose file has not arrived. Its load gets the status `skipped`. Cancelling the upload again
    changes nothing.

    The form may still be valid. A file that a client sends with it later gets its own load. Raises NotFound if this
    load is not the load of an upload. Raises TooLate if the file has arrived or the load has ended.
    """
    with database.transaction() as session:  # until it ends, no worker can claim the load
        source = announcements.cancel_upload(session, load_id)
        if source is None:
            _refuse_to_cancel(session, storage, load_id)
            return
        key = source.removeprefix(storage.landing.url(""))
        if any(stored.key == key for stored in storage.landing.objects(key)):
            raise TooLate(f"the file of load {load_id} has arrived: the load goes on")


def _refuse_to_cancel(session: Session, storage: Storage, load_id: int) -> None:
    """Raise NotFound or TooLate with the reason why the load cannot be cancelled. If the load has already been
    cancelled, raise nothing."""
    load = history.get(session, load_id)
    if load is None or not load.source.startswith(storage.landing.url(f"uploads/{load_id}/")):
        raise NotFound(f"there is no upload {load_id}")
    if load.status in outcomes.UNFINISHED:
        raise TooLate(f"the file of load {load_id} has arrived: the load is {load.status}, and goes on")
    if load.error != announcements.CANCELLED:
        raise TooLate(f"load {load_id} has ended: its status is {load.status}")


def checked(body: object, limit: int = MAX_SIZE) -> Order:
    """Validate the body {"dataset", "filename", "size"} with optional declarations, and return the request. `limit` is
    the largest valid size in bytes. Raises Unprocessable, with a reason for every invalid member."""
    if not isinstance(body, dict):
        raise _refused([{"field": None, "reason": 'the body must be {"dataset", "filename", "size"}'}])
    asked: list[Any] = [_whole(body.get(member)) for member in _MEMBERS]
    dataset, name, size = asked
    faults = [
        *_faults("dataset", None if _is_dataset(dataset) else f"must be one of {', '.join(DATASETS)}"),
        *_faults("filename", fault_of_name(name)),
        *_faults("size", _fault_of_size(size, limit)),
    ]
    declared, unread = _declared(body)
    faults += unread
    faults += _unknown_members(body)
    if faults:
        raise _refused(faults)
    chosen = DATASETS[dataset]
    return Order(chosen, named_for(chosen, name), size, declared)


def _unknown_members(body: Mapping[str, Any]) -> list[Fault]:
    """Return a fault for each of the first unknown members, and one for all others together. A body may have hundreds
    of thousands of them."""
    known = (*_MEMBERS, *NAMES)
    unknown = [member for member in body if member not in known]
    wanted = f"not one of {', '.join(known)}"
    reasons = [f"{member[:60]!r} is {wanted}" for member in unknown[:MOST_UNKNOWN_KEYS]]
    if len(unknown) > MOST_UNKNOWN_KEYS:
        reasons.append(f"{len(unknown) - MOST_UNKNOWN_KEYS} further members are {wanted}")
    return [{"field": None, "reason": reason} for reason in reasons]


def _declared(body: Mapping[str, Any]) -> tuple[Declarations, list[Fault]]:
    """Return the valid declarations in the body, and the faults of the others. `max-rejected` and `corrects` may be
    numbers, all others must be strings."""
    given, faults = dict[str, str](), list[Fault]()
    for name in (name for name in NAMES if name in body):
        value = _whole(body[name]) if name in _NUMBERS else body[name]
        value = str(value) if type(value) is int else value
        try:
            if not isinstance(value, str):
                raise UnknownValue(f"{name} must be a string")
            Declarations.of({name: value})
            given[name] = value
        except UnknownValue as error:
            faults.append({"field": name, "reason": str(error)})
    return Declarations.of(given), faults


def fault_of_name(name: object) -> str | None:
    """Return the reason why a file cannot have this name, or None if the name is valid."""
    if not isinstance(name, str):
        return "must be a file name, as a string"
    if _PATH.search(name):
        return "must be a file name without folders: it must not contain / or \\"
    if _UNSAFE.search(name):
        return "must not contain control characters or halves of surrogate pairs"
    if not any(name.lower().endswith(ending) and len(name) > len(ending) for ending in ENDINGS):
        return f"must end in one of {', '.join(ENDINGS)}, after at least one other character"
    if len(name) > MAX_NAME:
        return f"must not be longer than {MAX_NAME} characters"
    return f"must not contain {_S3_FILLS_IN}, which S3 would replace" if _S3_FILLS_IN in name else None


def named_for(dataset: Dataset, name: str) -> str:
    """Return a base name in which `dataset_of` finds this dataset. The result is `name` itself, or the name of the
    dataset, a hyphen and `name`."""
    return name if dataset_of(name) is dataset else f"{dataset.name}-{name}"


def _whole(value: object) -> object:
    """Return a number such as 12.0 as an integer, because it is an integer for JSON Schema. Return any other value
    unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_dataset(value: object) -> bool:
    return isinstance(value, str) and value in DATASETS


def _fault_of_size(value: object, limit: int) -> str | None:
    if type(value) is not int or not 0 <= value <= limit:
        larger = f"; {_LARGER}" if type(value) is int and value > limit else ""
        return f"must be a whole number of bytes from 0 to {limit}{larger}"
    return None


def _faults(field: str, fault: str | None) -> list[Fault]:
    return [{"field": field, "reason": f"{field} {fault}"}] if fault else []


def _refused(faults: list[Fault]) -> Unprocessable:
    return Unprocessable("this file cannot be uploaded", errors=faults)
