"""Tests for which platform the packages of the functions are fetched, and how packages that run on this machine are
copied."""

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
        ("localstack", "arm64", "Darwin", Platform(False, "arm64")),  # LocalStack runs functions in Linux containers
        ("prod", "x86_64", "Linux", Platform(False, None)),
        # On AWS, functions run on the architecture in .chalice/config.json.
        ("prod", "arm64", "Darwin", Platform(False, None)),
    ],
)
def test_the_platform_of_a_stage(stage: str, machine: str, system: str, platform: Platform) -> None:
    assert platform_of(stage, machine, system) == platform


def test_installed_packages_are_copied(tmp_path: Path) -> None:
    copy_installed(f"# why\nsix=={version('six')}  # and why\nMarkupSafe=={version('markupsafe')}\n", tmp_path)
    assert (tmp_path / "six.py").is_file()
    assert list(tmp_path.glob("markupsafe/_speedups*.so"))
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        ("six==0.1\n", r"requires six 0.1, but \S+ is installed: run make lock"),
        ("no-such-package==1.0\n", r"requires no-such-package 1.0, but it is not installed: run make lock"),
        ("six\n", r"pins no version of six"),
        ("six>=1.0  # any\n", r"pins no version of six>=1.0"),
    ],
)
def test_a_package_that_is_not_installed_in_the_pinned_version_is_refused(
    tmp_path: Path, requirements: str, expected: str
) -> None:
    with pytest.raises(CloudError, match=expected):
        copy_installed(requirements, tmp_path)
