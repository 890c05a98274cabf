"""Makes ministack use bodies on disk. To do this, it replaces the code in which ministack's S3 reads, writes or hashes
bodies."""

import base64
import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from infra.local.gate.app import App, Send
from infra.local.gate.bodies import Disconnected, Receive
from infra.local.objects import checksums
from infra.local.objects.framing import Incomplete, SentForm
from infra.local.objects.receiving import HELD, Receiving, ToDisk
from infra.local.objects.stored import Stored, joined, kept

Record = dict[str, Any]
Function = Callable[..., Any]


def on_disk(app: Any, s3: Any, folder: Path) -> App:
    """Make ministack use bodies on disk, and return its application. `app` and `s3` are ministack's modules. Received
    bodies are written to `folder`.

    Raises AttributeError or ValueError if the version of ministack lacks what this function replaces.
    """
    files = _Files(s3, folder)
    replacements: dict[Any, dict[str, Callable[[Function], Function]]] = {
        app: {
            "_read_request_body": lambda original: _receiver(original, app),
            "_send_response": lambda original: _sender(original, app),
        },
        s3: {
            "md5_hash": _md5_hash,
            "_compute_s3_checksum": _compute_s3_checksum,
            "_atomic_write": _atomic_write,
            "_persist_object": _persist_object,
            "_version_entry_from_record": _version_entry_from_record,
            "_parse_multipart_form": _parse_multipart_form,
            "_get_object_data": _get_object_data,
            "_read_body": lambda _: files.read_body,
            "_version_body": lambda _: files.version_body,
            "_upload_part": files.upload_part,
            "_upload_part_copy": files.upload_part_copy,
        },
    }
    for module, functions in replacements.items():
        for name, replacement in functions.items():
            setattr(module, name, replacement(getattr(module, name)))
    s3.hashlib = SimpleNamespace(**{**vars(s3.hashlib), "md5": _md5})
    s3.join_parts = lambda parts: joined(parts, folder)
    _rewrite(s3, "_complete_multipart_upload", 'b"".join(combined_parts)', "join_parts(combined_parts)")
    return ToDisk(app.app, folder)


def _rewrite(module: Any, name: str, before: str, after: str) -> None:
    """Replace one expression in a function of a module. Raises ValueError if the function does not contain the
    expression exactly once."""
    source = inspect.getsource(getattr(module, name))
    if source.count(before) != 1:
        raise ValueError(f"{module.__name__}.{name} does not have {before} exactly once")
    exec(source.replace(before, after), vars(module))  # noqa: S102  # nosec B102: the source is ministack's own


def _receiver(original: Function, app: Any) -> Function:
    async def read(receive: Receive, method: str, headers: dict[str, str]) -> Any:
        if not isinstance(receive, Receiving):
            return await original(receive, method, headers)
        try:
            return await receive.body(method, headers)
        except Incomplete as error:
            raise app._IncompleteRequestBody(str(error)) from error
        except Disconnected:
            raise app._RequestBodyDisconnected from None

    return read


def _sender(original: Function, app: Any) -> Function:
    async def sent(send: Send, status: int, headers: dict[str, str], body: Any, *, head: bool = False) -> None:
        if not isinstance(body, Stored):
            await original(send, status, headers, body, head=head)
            return
        await send({"type": "http.response.start", "status": status, "headers": app._asgi_header_list(headers)})
        await send({"type": "http.response.body", "body": body})

    return sent


class _Files:
    """Finds the files of objects. Parts of multipart uploads lie in `folder`."""

    def __init__(self, s3: Any, folder: Path) -> None:
        self._s3, self._folder = s3, folder

    def read_body(self, bucket: str, key: str, record: Record) -> Any:
        """Return the body of a current object. Raises FileNotFoundError."""
        body = record.get("body")
        return _in_file(self._s3._object_disk_path(bucket, key)) if body is None else body

    def version_body(self, bucket: Record, name: str, key: str, version: Record) -> Any:
        """Return the body of a version, or None if it is missing."""
        path = self._s3._version_disk_path(name, key, version["version_id"])
        if path is not None and Path(path).is_file():
            return _in_file(path)
        current = bucket["objects"].get(key)
        if current is not None and (current.get("version_id") or "null") == version["version_id"]:
            return self.read_body(name, key, current)
        return None

    def upload_part(self, original: Function) -> Function:
        """Keep every part on disk, even a small one, because an upload may have 10,000 parts."""

        def upload(bucket: str, key: str, body: Any, query: Record, headers: dict[str, str]) -> Any:
            return original(bucket, key, kept(body, self._folder), query, headers)

        return upload

    def upload_part_copy(self, original: Function) -> Function:
        """Copy the part to a file of its own. Otherwise the file of the copied object would stay open until the upload
        is completed."""

        def upload(bucket: str, key: str, query: Record, headers: dict[str, str]) -> Any:
            answer = original(bucket, key, query, headers)
            uploads, of = self._s3._multipart_uploads, self._s3._qp
            if answer[0] == 200:
                part = uploads[of(query, "uploadId")]["parts"][int(of(query, "partNumber", "1"))]
                part["body"] = kept(part["body"], self._folder)
            return answer

        return upload


def _in_file(path: str) -> bytes | Stored:
    """Return the body in the file of an object. Raises FileNotFoundError."""
    with Path(path).open("rb") as file:
        if os.fstat(file.fileno()).st_size <= HELD:
            return file.read()
    return Stored.of_object(path)


def _md5(data: Any) -> Any:
    return data.md5 if isinstance(data, Stored) else hashlib.md5(data, usedforsecurity=False)


def _md5_hash(_: Function) -> Function:
    return lambda data: _md5(data).hexdigest()


def _compute_s3_checksum(original: Function) -> Function:
    def compute(algorithm: str, body: Any) -> Any:
        if not isinstance(body, Stored):
            return original(algorithm, body)
        digest = body.checksum(checksums.normalized(algorithm or ""))
        return digest and base64.b64encode(digest).decode()

    return compute


def _atomic_write(original: Function) -> Function:
    def write(path: str, data: Any, *, text: bool = False) -> None:
        if isinstance(data, Stored):
            data.save(path)
        else:
            original(path, data, text=text)

    return write


def _persist_object(original: Function) -> Function:
    """Report a failure to the client. ministack itself only logs it, and loses the object at the next start."""

    def persist(bucket: str, key: str, record: Record) -> None:
        original(bucket, key, record)
        if record.get("body") is not None:
            raise OSError("the object could not be written to the disk")

    return persist


def _version_entry_from_record(original: Function) -> Function:
    """Keep no body in the list of versions, because the file of the object or of its version has the body."""
    return lambda record, version_id, _: original(record, version_id, None)


def _parse_multipart_form(original: Function) -> Function:
    def parse(content_type: str, body: Any) -> Any:
        if not isinstance(body, SentForm):
            return original(content_type, body)
        *fields, file = original(content_type, body.head + body.end)
        return [*fields, (*file[:-1], body.file)]

    return parse


def _get_object_data(original: Function) -> Function:
    """Return bytes, because the callers are other services, such as Lambda for the code of a function."""

    def read(*arguments: Any, **options: Any) -> Any:
        data = original(*arguments, **options)
        return bytes(data) if isinstance(data, Stored) else data

    return read
