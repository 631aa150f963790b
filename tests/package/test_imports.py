"""Imports point one way, and importing the package is light."""

import ast
import graphlib
import importlib
import pathlib
import subprocess
import sys

import pytest

import keras_effnetv2

PACKAGE = pathlib.Path(keras_effnetv2.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Room or module -> what of the package it may import anywhere, besides errors, each
# only of what stands above it here.
ALLOWED = {
    "version": "",
    "backends": "",
    "paths": "",
    "files": "paths",
    "fleet": "",
    "lazy": "",
    "private_apis": "",
    "progress": "",
    "registration": "",
    "tables": "",
    "optimizers": "private_apis",
    "preprocessing": "",
    "layers": "preprocessing private_apis",
    "networks": "files layers paths preprocessing private_apis",
    "weights": "files networks paths preprocessing progress version",
    "models": "layers networks preprocessing weights",
    "explanation": "backends files lazy networks private_apis",
    "profiling": "models networks tables",
    "data": "files fleet lazy paths preprocessing private_apis progress",
    "export": (
        "backends data files layers lazy models networks preprocessing private_apis "
        "version weights"
    ),
    "inference": "export networks",
    "training": (
        "backends data files layers lazy models networks optimizers paths "
        "preprocessing private_apis progress tables version"
    ),
    "planning": "lazy progress tables training",
    "classification": (
        "backends data explanation export inference lazy models networks paths "
        "preprocessing training weights"
    ),
    "page_server": "classification data",
    "reports": (
        "classification data explanation files lazy models networks paths "
        "preprocessing profiling progress training version"
    ),
    "finetuning": (
        "classification data files lazy networks paths preprocessing private_apis "
        "progress reports tables training weights"
    ),
    "search": (
        "backends data files layers lazy models networks private_apis profiling "
        "progress tables training"
    ),
    "commands": (
        "backends classification data explanation export files finetuning fleet "
        "models networks page_server paths planning preprocessing profiling progress "
        "reports search tables training weights"
    ),
}
HEAVY = {"tensorflow", "h5py", "PIL", "safetensors", "filelock", "sklearn"}
KERAS_ONLY = (
    "backends",
    "layers",
    "optimizers",
    "lazy",
    "private_apis",
    "networks",
    "models",
    "explanation/activation_maps",
    "registration",
)
# Know nothing of Keras.
PLAIN = (
    "errors",
    "files",
    "fleet",
    "paths",
    "preprocessing",
    "progress",
    "tables",
    "version",
    "networks/architecture",
    "networks/published",
    "networks/variants",
    "networks/variant_files",
    "training/progressive/stages",
)


def modules(name):
    return sorted((PACKAGE / name).rglob("*.py")) or [PACKAGE / f"{name}.py"]


def imports(nodes):
    """Imports among nodes of a file, as dotted names."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_anywhere(path):
    return imports(ast.walk(ast.parse(path.read_text())))


def imports_at_top(path):
    return imports(ast.parse(path.read_text()).body)


@pytest.mark.parametrize("name", ALLOWED)
def test_imports_point_down(name):
    above = list(ALLOWED)[: list(ALLOWED).index(name)]
    assert set(ALLOWED[name].split()) <= set(above)
    for path in modules(name):
        ours = [
            x.split(".")
            for x in imports_anywhere(path)
            if x.startswith("keras_effnetv2.")
        ]
        found = {parts[1] for parts in ours} - {name, "errors"}
        assert found <= set(ALLOWED[name].split()), path


def ancestors(name):
    """A module and the packages it is in, whose `__init__` runs before it."""
    parts = name.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


def test_every_module_may_be_the_first_to_be_imported():
    parts = [(x, x.relative_to(PACKAGE.parent).with_suffix("").parts) for x in FILES]
    names = {".".join(y).removesuffix(".__init__"): x for x, y in parts}
    graph = {
        name: {
            x for found in imports_at_top(path) for x in ancestors(found) if x in names
        }
        - ancestors(name)
        for name, path in names.items()
    }
    assert len([*graphlib.TopologicalSorter(graph).static_order()]) == len(names)


def test_every_room_has_a_row():
    found = [*PACKAGE.glob("*.py"), *(x.parent for x in PACKAGE.glob("*/__init__.py"))]
    names = {path.stem for path in found}
    assert names - {"__init__", "__main__", "errors"} == set(ALLOWED)


def test_commands_are_no_libraries_of_other_commands():
    commands = {path.stem for path in (PACKAGE / "commands").glob("*.py")}
    for path in (PACKAGE / "commands").rglob("*.py"):
        found = {
            x.split(".")[2]
            for x in imports_anywhere(path)
            if x.startswith("keras_effnetv2.commands.")
        }
        assert not found & commands, path


@pytest.mark.parametrize("name", KERAS_ONLY)
def test_networks_need_keras_only(name):
    for path in modules(name):
        assert not {x.partition(".")[0] for x in imports_at_top(path)} & HEAVY, path


@pytest.mark.parametrize("name", PLAIN)
def test_plans_need_no_keras(name):
    for path in modules(name):
        found = {x.partition(".")[0] for x in imports_at_top(path)}
        assert not found & (HEAVY | {"keras"}), path


def test_importing_the_package_is_light_and_gives_all_its_packages():
    code = (
        "import sys, keras_effnetv2 as k; print(*sys.modules);"
        "import keras; new = keras.saving.get_custom_objects();"
        "print('keras_effnetv2>MBConv' in new, k.__name__ + '.layers' in sys.modules);"
        "k.export.saved_model; k.training.train; k.absent"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    first, registered = result.stdout.splitlines()
    names = set(first.split())
    assert registered == "True False"
    assert "keras_effnetv2.version" in names
    assert not names & {"keras", "numpy", "tensorflow", "keras_effnetv2.models"}
    last = result.stderr.strip().splitlines()[-1]
    assert last == "AttributeError: keras_effnetv2 has no attribute 'absent'."


def test_every_public_name_is_there():
    for path in PACKAGE.rglob("__init__.py"):
        name = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
        package = importlib.import_module(name)
        for public in getattr(package, "__all__", ()):
            assert getattr(package, public) is not None, f"{name}.{public}"
