"""Public names are there when they are asked for, old ones with a warning."""

import ast
import importlib
import pathlib
import sys

import pytest

import keras_effnetv2
from keras_effnetv2 import (
    data,
    explanation,
    export,
    lazy,
    optimizers,
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


@pytest.mark.parametrize(
    ("owner", "old", "new"),
    [
        (training, "aggregate_first", "sum_before_clipping"),
        (training, "fix_random_seeds", "use_replica_seeds"),
        (optimizers, "RMSpropOfTensorFlow1", "RMSpropTF"),
    ],
)
def test_old_names_work_and_name_the_new_one(owner, old, new):
    with pytest.warns(FutureWarning, match=f"is now .*{new}") as caught:
        assert getattr(owner, old) is getattr(owner, new)
    assert [x.filename for x in caught] == [__file__]


@pytest.mark.parametrize(("old", "new"), lazy._MOVED.items())
def test_old_modules_are_the_new_ones(old, new):
    wanted = importlib.import_module(f"keras_effnetv2.{new}")
    spec = wanted.__spec__
    name = f"keras_effnetv2.{old}"
    sys.modules.pop(name, None)
    with pytest.warns(FutureWarning, match=f"{name} is now keras_effnetv2.{new}"):
        assert importlib.import_module(name) is wanted
    assert wanted.__spec__ is spec


def test_old_modules_are_found_by_import_from():
    sys.modules.pop("keras_effnetv2.variants", None)
    with pytest.warns(FutureWarning) as caught:
        from keras_effnetv2.variants import get_variant
    assert get_variant is keras_effnetv2.get_variant
    assert [x.filename for x in caught] == [__file__]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_other_names_are_refused(package):
    with pytest.raises(AttributeError, match=f"{package.__name__} has no attribute"):
        _ = package.absent
