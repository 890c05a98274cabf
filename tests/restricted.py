"""python -m tests.restricted SET MODULE [ARGUMENT …]: run a module as if only the packages of a set were installed."""

import importlib.abc
import importlib.metadata
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from infra.install import lock


class Absent(importlib.abc.MetaPathFinder):
    """Raises ModuleNotFoundError for installed packages that the set does not contain."""

    def __init__(self, name: str) -> None:
        contained = lock.pins((lock.REQUIREMENTS / f"{name}.txt").read_text())
        self._absent = {
            module
            for module, packages in importlib.metadata.packages_distributions().items()
            if not any(lock.pins(f"{package}==0").keys() <= contained.keys() for package in packages)
        }

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self._absent:
            raise ModuleNotFoundError(f"{name} is not in this set", name=name)
        return None


def main() -> None:
    name, module, *arguments = sys.argv[1:]
    sys.meta_path.insert(0, Absent(name))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
