"""Public names, imported when they are asked for, and old ones until 1.0."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_effnetv2.errors import MissingPackageError

# Modules that the documentation has named, and where they are now.
_MOVED = {
    "architecture": "networks.architecture",
    "data.augmenter": "data.augmentation.augmenter",
    "data.cropping": "data.decoding.cropping",
    "data.images": "data.decoding.images",
    "data.mixing": "data.augmentation.mixing",
    "data.randaugment": "data.augmentation.randaugment",
    "data.random_cropping": "data.augmentation.random_cropping",
    "search.samplers": "search.sampling.samplers",
    "training.stages": "training.progressive.stages",
    "transfer": "networks.transfer",
    "variant_files": "networks.variant_files",
    "variants": "networks.variants",
}


def attributes(
    package: str,
    modules: Mapping[str, str],
    renamed: Mapping[str, str] | None = None,
    extra: str | None = None,
) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose public names need much to be imported.

    Args:
        package: its name.
        modules: by public name, the module within the package that has it, or is it.
        renamed: by old name, the new one, in `modules` or in the package itself.
        extra: of the installation, that brings what the modules import.

    Raises:
        ImportError: by the function, where a module of `extra` is missing.
    """

    def find(name: str) -> Any:
        if renamed and name in renamed:
            _warn(f"{package}.{name}", f"{package}.{renamed[name]}")
            return getattr(sys.modules[package], renamed[name])
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


class _MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by the names that they had."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """For `import` of a module that has moved."""
        package, _, name = fullname.partition(".")
        if package != "keras_effnetv2" or name not in _MOVED:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The module by its new name."""
        new = f"keras_effnetv2.{_MOVED[spec.name.partition('.')[2]]}"
        _warn(spec.name, new)
        module = importlib.import_module(new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Leaves it what it is: `import` has given it the spec of the old name."""
        module.__spec__ = self._spec


class _Awaited(importlib.abc.MetaPathFinder):
    """Calls a function when a module is imported: before, or as soon as it has been."""

    def __init__(self, name: str, function: Callable[[], None], before: bool) -> None:
        self._name, self._function, self._before = name, function, before

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Where others find the module, if its loader has to call the function."""
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
    """Calls `function` when the module `name` is there: now, or once it is imported."""
    if name in sys.modules:
        function()
    else:
        sys.meta_path.insert(0, _Awaited(name, function, before=False))


def call_before_import(name: str, function: Callable[[], None]) -> None:
    """Calls `function` when `name` is about to be imported; never if it is there."""
    if name not in sys.modules:
        sys.meta_path.insert(0, _Awaited(name, function, before=True))


def find_moved_modules() -> None:
    """Lets `import` find modules by the names that they had."""
    sys.meta_path.insert(0, _MovedModules())


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is now {new}; the old name goes with version 1.0.",
        FutureWarning,
        stacklevel=3,
    )
