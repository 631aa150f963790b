"""Tells griffe, which imports nothing, the names that packages import on first use.

A package lists them in `_MODULES`, with the module of each; see
`keras_effnetv2/lazy.py`. mkdocs.yml names this extension.
"""

import ast
from typing import Any

import griffe


class PublicNames(griffe.Extension):
    """Gives packages an alias for each name in their `_MODULES`."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called once, when the whole package is read."""
        _add_aliases(pkg)


def _add_aliases(module: griffe.Module) -> None:
    table = module.members.get("_MODULES")
    if module.is_init_module and isinstance(table, griffe.Attribute):
        modules = ast.literal_eval(str(table.value))
        for name, path in modules.items():
            if name not in module.members:
                is_module = path.rpartition(".")[2] == name
                target = f"{module.path}.{path}" + ("" if is_module else f".{name}")
                module.set_member(name, griffe.Alias(name, target))
        module.exports = sorted({*modules, *(_written_exports(module))})
    for inner in [*module.members.values()]:
        if not inner.is_alias and inner.is_module:  # An alias would be resolved.
            _add_aliases(inner)


def _written_exports(module: griffe.Module) -> list[str]:
    """Names of an `__all__` that is a list."""
    written = module.members.get("__all__")
    value = written.value if isinstance(written, griffe.Attribute) else None
    if not isinstance(value, griffe.ExprList):
        return []
    return [ast.literal_eval(str(x)) for x in value.elements]
