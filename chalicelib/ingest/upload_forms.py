"""Files that go straight to the landing bucket: a form that S3 itself takes, and a load that waits for the file.

No byte of the file passes through a function, so the limits of functions do not matter. The policy of the form sets
its own: one key, a size, an hour (`presigned_post` in `cloud.buckets`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core import timestamps
from chalicelib.core.datasets import DATASETS, Dataset
from chalicelib.core.errors import NotFound, TooLate, Unprocessable
from chalicelib.ingest.file_names import dataset_of
from chalicelib.loads import announcements, history, outcomes

FORM_SECONDS: Final = 3600
MAX_SIZE: Final = 5 * 1024**3  # bytes; S3 takes no more in one request
MAX_NAME: Final = 200  # characters: in UTF-8, and with all that goes before them, they fit into the 1024 bytes of a key
SUFFIXES = (".csv", ".csv.gz")
_MEMBERS = ("dataset", "filename", "size")
_PATH = re.compile(r"[/\\]")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # what no key should hold, and what UTF-8 cannot
_S3_FILLS_IN = "${filename}"  # in a form's key, with the name that the sender's program gives the file

Fault = dict[str, str | None]


@dataclass(frozen=True)
class Order:
    """What somebody wants to send: a file of at most `size` bytes, whose name tells `dataset`."""

    dataset: Dataset
    base_name: str
    size: int


@dataclass(frozen=True)
class AnnouncedUpload:
    """The load of a file that is to come, and the form to send it with: where to, and its fields. It is good until
    `expires_at`, in UTC to the second; the file will have this `key`."""

    load_id: int
    status_url: str
    url: str
    fields: Mapping[str, str]
    key: str
    expires_at: str


def order_upload(
    database: Database, storage: Storage, body: object, *, correlation_id: str | None = None
) -> AnnouncedUpload:
    """Announce a file, and give out the form to send it with.

    The first file that is sent with the form is that load, any other one a
    load of its own: a new version of the key. Raises Unprocessable, and Unavailable when the database is away.
    """
    order = checked(body)
    expires_at = datetime.now(UTC) + timedelta(seconds=FORM_SECONDS)
    with database.transaction() as session:  # no load without a form for its file
        load_id, key = announcements.queue_upload(
            session, order.dataset, storage.landing.name, order.base_name, correlation_id
        )
        form = storage.landing.presigned_post(key, size=order.size, seconds=FORM_SECONDS)
    expiry = timestamps.text(expires_at, "seconds")
    return AnnouncedUpload(load_id, f"/loads/{load_id}", form.url, form.fields, key, expiry)


def cancel_upload(database: Database, storage: Storage, load_id: int) -> None:
    """End the load of an announced file that has not come: it is `skipped`. Nothing changes if it was cancelled before.

    A file that comes later, with a form that is still good, is a load of its own. Raises NotFound if no file was
    announced as this load, and TooLate if its file is there or its load has ended.
    """
    with database.transaction() as session:  # whoever takes the load for its file waits until we have looked at S3
        source = announcements.cancel_upload(session, load_id)
        if source is None:
            _refuse_to_cancel(session, storage, load_id)
            return
        key = source.removeprefix(storage.landing.url(""))
        if any(stored.key == key for stored in storage.landing.objects(key)):
            raise TooLate(f"the file of load {load_id} has arrived: it goes on")


def _refuse_to_cancel(session: Session, storage: Storage, load_id: int) -> None:
    """Say why a load does not wait for a file; nothing if it was cancelled. Raises NotFound, TooLate."""
    load = history.get(session, load_id)
    if load is None or not load.source.startswith(storage.landing.url(f"uploads/{load_id}/")):
        raise NotFound(f"there is no upload {load_id}")
    if load.status in outcomes.UNFINISHED:
        raise TooLate(f"the file of load {load_id} has arrived: it is {load.status}, and goes on")
    if load.error != announcements.CANCELLED:
        raise TooLate(f"load {load_id} has ended: it {load.status}")


def checked(body: object) -> Order:
    """What was asked for in {"dataset", "filename", "size"}. Raises Unprocessable with every fault."""
    if not isinstance(body, dict):
        raise _refused([{"field": None, "reason": 'the body must be {"dataset", "filename", "size"}'}])
    asked: list[Any] = [body.get(member) for member in _MEMBERS]
    dataset, name, size = asked
    faults = [
        *_faults("dataset", None if _is_dataset(dataset) else f"must be one of {', '.join(DATASETS)}"),
        *_faults("filename", fault_of_name(name)),
        *_faults("size", None if _is_size(size) else f"must be a whole number of bytes from 0 to {MAX_SIZE}"),
    ]
    unknown = [f"{member[:60]!r} is not one of {', '.join(_MEMBERS)}" for member in body if member not in _MEMBERS]
    faults += [{"field": None, "reason": reason} for reason in unknown]
    if faults:
        raise _refused(faults)
    chosen = DATASETS[dataset]
    return Order(chosen, named_for(chosen, name), size)


def fault_of_name(name: object) -> str | None:
    """Why a file cannot have this name, None where it can."""
    if not isinstance(name, str):
        return "must be the name of a file, as text"
    if _PATH.search(name):
        return "must be the name of a file alone, without folders: it holds / or \\"
    if _UNSAFE.search(name):
        return "must not hold control characters or halves of surrogate pairs"
    if not name.removesuffix(".gz").removesuffix(".csv") or not name.endswith(SUFFIXES):
        return f"must end in {' or '.join(SUFFIXES)}, with something before that"
    if len(name) > MAX_NAME:
        return f"must not be longer than {MAX_NAME} characters"
    return f"must not hold {_S3_FILLS_IN}, which S3 would replace" if _S3_FILLS_IN in name else None


def named_for(dataset: Dataset, name: str) -> str:
    """A base name that tells this dataset: the name itself, or with the dataset before it."""
    return name if dataset_of(name) is dataset else f"{dataset.name}-{name}"


def _is_dataset(value: object) -> bool:
    return isinstance(value, str) and value in DATASETS


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_SIZE


def _faults(field: str, fault: str | None) -> list[Fault]:
    return [{"field": field, "reason": f"{field} {fault}"}] if fault else []


def _refused(faults: list[Fault]) -> Unprocessable:
    return Unprocessable("this is no file that could be sent", errors=faults)
