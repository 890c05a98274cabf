"""Tests the deployment package of the functions. Some faults of a package stop a deployment, and equal code gives a
package with equal bytes."""

import io
from zipfile import ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.deploy.package import faults, pack

PURE = "Wheel-Version: 1.0\nTag: py3-none-any\n"
PINS = "# a comment\nPg8000[x]==1.0  # another\nno_pin\n"
ELF = b"\x7fELF" + b"\0" * 14


def made(files: dict[str, bytes | str], year: int = 2020) -> bytes:
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, body in files.items():
            archive.writestr(ZipInfo(name, (year, 1, 1, 0, 0, 0)), body)
    return packed.getvalue()


def whole(tag: str = PURE, **more: bytes) -> dict[str, bytes | str]:
    return {
        "app.py": "",
        "pg8000-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pg8000\nVersion: 1.0\n\nText\n",
        "pg8000-1.0.dist-info/WHEEL": tag,
        **more,
    }


def wrong(files: dict[str, bytes | str], architecture: str = "x86_64", python: tuple[int, int] = (3, 12)) -> list[str]:
    return list(faults(made(files), PINS, architecture, python))


def test_a_sound_package_has_no_faults() -> None:
    assert wrong(whole()) == []


def test_a_missing_requirement_is_a_fault() -> None:
    assert wrong({"app.py": ""}) == ["Pg8000 1.0 is missing"]
    assert list(faults(made(whole()), "pg8000==2.0\n", "x86_64", (3, 12))) == [
        "pg8000 2.0 is required, but 1.0 is in the package"
    ]


def test_a_package_without_app_py_is_faulty() -> None:
    files = whole()
    del files["app.py"]
    assert wrong(files) == ["app.py is missing"]


def test_a_package_that_is_too_large_is_faulty() -> None:
    packed = made(whole())
    assert list(faults(packed, PINS, "x86_64", (3, 12), limit=len(packed) + 1)) == []
    [fault] = faults(packed, PINS, "x86_64", (3, 12), limit=len(packed))
    assert "more than the limit of" in fault


@pytest.mark.parametrize(
    ("tag", "architecture", "python", "runs"),
    [
        ("py3-none-any", "arm64", (3, 11), True),
        ("py2.py3-none-any", "x86_64", (3, 11), True),
        ("cp312-cp312-manylinux_2_28_x86_64", "x86_64", (3, 12), True),
        ("cp312-cp312-manylinux_2_28_x86_64", "x86_64", (3, 13), False),
        ("cp312-cp312-manylinux_2_28_x86_64", "arm64", (3, 12), False),
        ("cp312-cp312-manylinux_2_28_aarch64", "arm64", (3, 12), True),
        # Lambda runs Python 3.11 on Amazon Linux 2, which is too old for this wheel.
        ("cp311-cp311-manylinux_2_28_x86_64", "x86_64", (3, 11), False),
        ("cp311-cp311-manylinux_2_17_x86_64", "x86_64", (3, 11), True),
        ("cp312-cp312-manylinux_2_39_x86_64", "x86_64", (3, 12), False),
        ("cp311-cp311-manylinux2014_x86_64", "x86_64", (3, 11), True),
        ("cp39-abi3-manylinux2014_x86_64", "x86_64", (3, 13), True),
        ("cp314-abi3-manylinux2014_x86_64", "x86_64", (3, 13), False),
        ("py3-none-manylinux2014_x86_64", "x86_64", (3, 13), True),
        ("cp312-cp312-musllinux_1_2_x86_64", "x86_64", (3, 12), False),
        ("cp312-cp312-macosx_11_0_arm64", "arm64", (3, 12), False),
        # A wheel without a manylinux tag runs only on the kind of system where it was built.
        ("cp312-cp312-linux_x86_64", "x86_64", (3, 12), False),
    ],
)
def test_wheels_for_another_platform_are_faults(
    tag: str, architecture: str, python: tuple[int, int], runs: bool
) -> None:
    found = wrong(whole(f"Wheel-Version: 1.0\nTag: {tag}\n"), architecture, python)
    assert found == ([] if runs else [f"pg8000 is built for {tag}"])


def test_one_matching_tag_of_a_wheel_suffices() -> None:
    tags = "".join(f"Tag: cp312-cp312-{p}\n" for p in ("musllinux_1_2_x86_64", "manylinux_2_17_x86_64"))
    assert wrong(whole(f"Wheel-Version: 1.0\n{tags}")) == []


def test_machine_code_for_another_processor_is_a_fault() -> None:
    binaries = {"a.so": ELF + b"\x3e\0", "b.libs/c.so.1": ELF + b"\xb7\0", "d.so": b"MZ"}
    files = {**whole(), **binaries}
    assert wrong(files) == ["b.libs/c.so.1 is not built for x86_64", "d.so is not built for x86_64"]
    assert wrong(files, "arm64") == ["a.so is not built for arm64", "d.so is not built for arm64"]


@given(st.dictionaries(st.from_regex("[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.binary(), max_size=8), st.data())
def test_equal_files_are_packed_to_equal_bytes(files: dict[str, bytes], data: st.DataObject) -> None:
    order = data.draw(st.permutations(list(files)))
    packed = pack(made({**files}))
    assert pack(made({name: files[name] for name in order}, year=2024)) == packed == pack(packed)
    with ZipFile(io.BytesIO(packed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.namelist() == sorted(files)
