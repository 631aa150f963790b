"""Public names, imported on first use, and calls around imports."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_effnetv2.errors import MissingPackageError


def attributes(
    package: str, modules: Mapping[str, str], extra: str | None = None
) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose public names are slow to import.

    Args:
        package: its name.
        modules: public name -> the module within the package that has it, or is it.
        extra: the extra that installs what the modules import.

    Raises:
        ImportError: by the function, if a module of `extra` is missing.
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"{package} has no attribute {name!r}.")
        try:
            module = importlib.import_module(f"{package}.{modules[name]}")
        except ModuleNotFoundError as error:
            if extra is None or str(error.name).startswith("keras_effnetv2"):
                raise
            raise MissingPackageError(
                f"{package} needs {error.name}: pip install 'keras_effnetv2[{extra}]'."
            ) from error
        is_module = modules[name].rpartition(".")[2] == name
        return module if is_module else getattr(module, name)

    return find


class _Awaited(importlib.abc.MetaPathFinder):
    """Calls a function just before or just after a module is imported."""

    def __init__(self, name: str, function: Callable[[], None], before: bool) -> None:
        self._name, self._function, self._before = name, function, before

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec that others find, with a loader that calls the function."""
        if fullname != self._name or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        if self._before:
            self._function()
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                execute(module)
                self._function()

            spec.loader.exec_module = exec_module
        return spec


def call_after_import(name: str, function: Callable[[], None]) -> None:
    """Calls `function` now if the module `name` is imported, or else after it is."""
    if name in sys.modules:
        function()
    else:
        sys.meta_path.insert(0, _Awaited(name, function, before=False))


def call_before_import(name: str, function: Callable[[], None]) -> None:
    """Calls `function` just before `name` is imported; never if it already is."""
    if name not in sys.modules:
        sys.meta_path.insert(0, _Awaited(name, function, before=True))
