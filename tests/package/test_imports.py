"""Imports point one way, and importing the package is light."""

import ast
import pathlib
import subprocess
import sys

import pytest

import keras_effnetv2

PACKAGE = pathlib.Path(keras_effnetv2.__file__).parent

# Module or folder -> what of the package it may import at its top, besides errors.
ALLOWED = {
    "backends": set(),
    "errors": set(),
    "architecture": set(),
    "variant_files": {"architecture", "files"},
    "variants": {"architecture", "variant_files"},
    "preprocessing": set(),
    "version": set(),
    "range_check": set(),
    "layers": {"preprocessing", "range_check"},
    "tracing": set(),
    "networks": {"architecture", "layers", "preprocessing", "range_check", "tracing"},
    "models": {"architecture", "layers", "networks", "preprocessing", "variants"},
    "transfer": {"layers", "networks"},
    "heads": {"preprocessing"},
    "explanation": {"backends", "heads", "networks"},
    "registration": set(),
    "optimizers": set(),
    "files": set(),
    "heat_maps": {"files"},
    "profiling": {"architecture", "variants"},
    "weights": {"architecture", "files", "preprocessing", "variants", "version"},
    "data": {"preprocessing"},
    "data/sources": {"data"},
    "export": {
        "backends",
        "data",
        "files",
        "heads",
        "layers",
        "networks",
        "preprocessing",
        "transfer",
        "version",
        "weights",
    },
    "training": {
        "architecture",
        "backends",
        "data",
        "files",
        "layers",
        "models",
        "networks",
        "optimizers",
        "preprocessing",
        "profiling",
        "variant_files",
        "variants",
    },
    "search": {
        "architecture",
        "backends",
        "data",
        "files",
        "layers",
        "models",
        "profiling",
        "training",
        "variant_files",
        "variants",
    },
}
HEAVY = {"tensorflow", "h5py", "PIL", "safetensors", "filelock", "sklearn"}
KERAS_ONLY = (
    "backends",
    "layers",
    "optimizers",
    "networks",
    "models",
    "transfer",
    "heads",
    "explanation",
    "range_check",
    "registration",
    "tracing",
)


def modules(name):
    return sorted((PACKAGE / name).glob("*.py")) or [PACKAGE / f"{name}.py"]


def imports(path):
    """Top-level imports of a file, as dotted names."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", ALLOWED)
def test_imports_point_down(name):
    for path in modules(name):
        ours = [x.split(".") for x in imports(path) if x.startswith("keras_effnetv2.")]
        found = {parts[1] for parts in ours} - {name, "errors"}
        assert found <= ALLOWED[name], path


@pytest.mark.parametrize("name", KERAS_ONLY)
def test_networks_need_keras_only(name):
    for path in modules(name):
        assert not {x.partition(".")[0] for x in imports(path)} & HEAVY, path


def test_importing_the_package_is_light():
    code = "import sys, keras_effnetv2; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True)
    names = set(loaded.stdout.split())
    assert "keras_effnetv2.models" in names
    assert not names & {"tensorflow_datasets", "safetensors"}


def test_packages_are_there_without_an_import_of_their_own():
    code = (
        "import keras_effnetv2 as k; k.export.saved_model; k.training.train; k.absent"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    last = result.stderr.strip().splitlines()[-1]
    assert last == "AttributeError: keras_effnetv2 has no attribute 'absent'."
