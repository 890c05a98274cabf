"""The machine that packages of the functions are for, and the packages for this one."""

from importlib.metadata import version
from pathlib import Path

import pytest

from infra.deploy.packages import Platform, copy_installed, platform_of
from infra.errors import CloudError


@pytest.mark.parametrize(
    ("stage", "machine", "system", "platform"),
    [
        ("local", "x86_64", "Linux", Platform(True, "x86_64")),
        ("local", "aarch64", "Linux", Platform(True, "arm64")),
        ("local", "arm64", "Darwin", Platform(True, "arm64")),
        ("local", "x86_64", "Darwin", Platform(True, "x86_64")),
        ("localstack", "x86_64", "Linux", Platform(False, "x86_64")),
        ("localstack", "arm64", "Darwin", Platform(False, "arm64")),  # in containers, which are Linux
        ("prod", "x86_64", "Linux", Platform(False, None)),
        ("prod", "arm64", "Darwin", Platform(False, None)),  # as .chalice/config.json has it
    ],
)
def test_the_platform_of_a_stage(stage: str, machine: str, system: str, platform: Platform) -> None:
    assert platform_of(stage, machine, system) == platform


def test_packages_are_those_that_are_installed(tmp_path: Path) -> None:
    copy_installed(f"# why\nsix=={version('six')}  # and why\nMarkupSafe=={version('markupsafe')}\n", tmp_path)
    assert (tmp_path / "six.py").is_file()
    assert list(tmp_path.glob("markupsafe/_speedups*.so"))
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("requirements", "told"),
    [
        ("six==0.1\n", r"wants six 0.1, but \S+ is installed: make lock"),
        ("no-such-package==1.0\n", r"wants no-such-package 1.0, but it is not installed: make lock"),
        ("six\n", r"names no version of six"),
        ("six>=1.0  # any\n", r"names no version of six>=1.0"),
    ],
)
def test_what_is_not_installed_so_is_refused(tmp_path: Path, requirements: str, told: str) -> None:
    with pytest.raises(CloudError, match=told):
        copy_installed(requirements, tmp_path)
