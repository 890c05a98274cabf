"""Tests the object that an attempt reads."""

import hashlib
import io
from typing import Any

import pytest

from chalicelib.cloud.object_streams import ObjectStream
from chalicelib.core.streams import skip
from chalicelib.ingest.attempt import ObjectBody

DATA = b"1,Sales\n" * 1_000_000


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(DATA).hexdigest()])
def test_the_connection_is_attended_before_each_read_of_an_object(sha256: str | None) -> None:
    reads: list[Any] = []
    body = ObjectBody(ObjectStream(io.BytesIO(DATA), "s3://landing/departments.csv"), sha256, lambda: reads.append(1))
    assert body.stream.peek(8) == DATA[:8]
    skip(body.stream, len(DATA) - 8)
    assert len(reads) > len(DATA) / 1024**2
    assert body.stream.read(100) == DATA[-8:]
    body.verify()
