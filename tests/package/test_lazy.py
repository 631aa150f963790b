"""Public names are there when they are asked for."""

import ast
import pathlib

import pytest

import keras_effnetv2
from keras_effnetv2 import (
    data,
    explanation,
    export,
    lazy,
    reports,
    search,
    training,
)

PACKAGES = (keras_effnetv2, data, explanation, export, reports, search, training)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_is_there(package):
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_editors_see_the_names_that_are_imported_when_asked_for():
    tree = ast.parse(pathlib.Path(keras_effnetv2.__file__).read_text())
    (block,) = (x for x in tree.body if isinstance(x, ast.If))
    seen = {
        alias.name: node.module.removeprefix("keras_effnetv2.")
        for node in block.body
        for alias in node.names
    }
    assert seen == keras_effnetv2._MODULES
    assert {*seen, "__version__"} == set(keras_effnetv2.__all__)
    assert set(keras_effnetv2.__all__) < set(dir(keras_effnetv2))


def test_a_missing_module_is_the_fault_of_an_extra_only_if_it_is_of_others():
    package, extra = "keras_effnetv2", "search"
    with pytest.raises(ModuleNotFoundError, match="No module named 'keras_effnetv2.ab"):
        lazy.attributes(package, {"absent": "absent"}, extra)("absent")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_other_names_are_refused(package):
    with pytest.raises(AttributeError, match=f"{package.__name__} has no attribute"):
        _ = package.absent
