"""Tests bodies in files. The tests use real files in a temporary folder."""

import copy
import gc
import os
import zlib
from hashlib import md5, sha1, sha256
from pathlib import Path

import pytest

from infra.local.objects import checksums
from infra.local.objects.stored import PIECE, Stored, joined, kept

BODY = bytes(range(256)) * (3 * PIECE // 256) + b"end"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "object"
    path.write_bytes(BODY)
    return path


def test_a_stored_body_has_the_length_the_parts_and_the_checksums_of_its_bytes(file: Path) -> None:
    stored = Stored.of_object(str(file))
    assert len(stored) == len(BODY)
    assert bytes(stored) == BODY
    part = stored[PIECE - 3 : 2 * PIECE + 5]
    assert bytes(part) == BODY[PIECE - 3 : 2 * PIECE + 5]
    assert bytes(part[3:10]) == BODY[PIECE : PIECE + 7]
    assert bytes(stored[len(BODY) - 2 : len(BODY) + 50]) == BODY[-2:]
    assert (len(stored[5:5]), len(stored[9:5])) == (0, 0)
    for body, expected in ((stored, BODY), (part, bytes(part))):
        assert body.md5.digest() == md5(expected).digest()
        assert body.checksum("CRC32") == zlib.crc32(expected).to_bytes(4, "big")
        assert (body.checksum("SHA1"), body.checksum("SHA256")) == (sha1(expected).digest(), sha256(expected).digest())
        assert body.checksum("MD4") is None


@pytest.mark.parametrize(
    ("algorithm", "value"), [("CRC32", "cbf43926"), ("CRC32C", "e3069283"), ("CRC64NVME", "ae8b14860a799888")]
)
def test_the_checksums_have_their_published_check_values(algorithm: str, value: str) -> None:
    checksum = checksums.running(algorithm)
    assert checksum is not None
    checksum.update(b"1234")
    checksum.update(b"56789")
    assert checksum.digest().hex() == value


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ({}, set()),
        ({"x-amz-sdk-checksum-algorithm": "crc32_c"}, {"CRC32C"}),
        ({"x-amz-checksum-sha256": "x", "x-amz-trailer": "X-Amz-Checksum-CRC64NVME, x-other"}, {"SHA256", "CRC64NVME"}),
        ({"x-amz-checksum-mode": "ENABLED", "x-amz-sdk-checksum-algorithm": "md4"}, set()),
    ],
)
def test_the_checksums_that_a_request_needs_are_found_in_its_headers(headers: dict[str, str], names: set[str]) -> None:
    assert checksums.named(headers) == names


def test_an_open_body_outlives_its_object(file: Path) -> None:
    stored = Stored.of_object(str(file))
    replacement = file.with_name("new")
    replacement.write_bytes(b"other")
    replacement.replace(file)
    assert bytes(stored) == BODY
    file.unlink()
    assert bytes(copy.deepcopy(stored)) == BODY


def test_a_stored_body_is_never_taken_for_bytes(file: Path) -> None:
    with pytest.raises(TypeError):
        b"".join([Stored.of_object(str(file))])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        md5(Stored.of_object(str(file)))  # type: ignore[arg-type]


def test_a_body_that_is_saved_whole_needs_no_further_room(file: Path, tmp_path: Path) -> None:
    for name in ("version", "copy", "version"):
        Stored.of_object(str(file)).save(str(tmp_path / name))
    assert (tmp_path / "version").read_bytes() == BODY
    assert file.stat().st_nlink == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "object", "version"], "a temporary name is left"


def test_a_part_of_a_body_and_a_body_without_its_file_are_copied(file: Path, tmp_path: Path) -> None:
    stored = Stored.of_object(str(file))
    stored[1:4].save(str(tmp_path / "part"))
    assert (tmp_path / "part").read_bytes() == BODY[1:4]
    assert (tmp_path / "part").stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    other.write_bytes(b"another object, which has got the same path")
    other.replace(file)
    stored.save(str(tmp_path / "whole"))
    assert (tmp_path / "whole").read_bytes() == BODY
    file.unlink()
    stored.save(str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == BODY


def test_parts_are_joined_and_their_files_are_deleted_when_nothing_needs_them(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    parts = [kept(b"small", folder), kept(Stored.of_object(str(file))[:7], folder), kept(b"", folder)]
    assert kept(parts[0], folder) is parts[0], "a part that lies in a file of its own is not copied"
    whole = joined(parts, folder)
    assert bytes(whole) == b"small" + BODY[:7]
    assert len(whole) == 12
    assert len(list(folder.iterdir())) == 4
    whole.save(str(tmp_path / "saved"))
    del parts, whole
    gc.collect()
    assert list(folder.iterdir()) == []
    assert (tmp_path / "saved").read_bytes() == b"small" + BODY[:7]


def test_no_descriptor_stays_open(file: Path, tmp_path: Path) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    parts = [kept(Stored.of_object(str(file))[n : n + 1], tmp_path) for n in range(20)]
    assert bytes(joined(parts, tmp_path)) == BODY[:20]
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_file_that_is_too_short_is_an_error_and_not_a_short_body(file: Path) -> None:
    stored = Stored.of_object(str(file))
    os.truncate(file, 10)
    with pytest.raises(OSError, match="shorter"):
        bytes(stored)
