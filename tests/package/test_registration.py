"""Files load in a process that has imported the package and nothing else."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model, export, optimizers, training
from keras_effnetv2.training.learner.schedules import PerStage, WarmUp
from tests.conftest import ROOT
from tests.optimizers.saved_optimizers import Halved, stepped
from tests.tiny_networks import SMALL, pixels

DECAY = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
SGD = keras.optimizers.SGD
OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(WarmUp(DECAY, 3)),
    "adamw": lambda: optimizers.AdamW(PerStage(DECAY, [9], [9], [1.0])),
    "rmsprop": lambda: optimizers.RMSpropTF(0.1, momentum=0.9),
    "layer-wise": lambda: optimizers.LAYER_WISE[SGD](0.1, update_scales=[0.5, 1.0]),
    "theirs": lambda: SGD(0.1, momentum=0.9, clipnorm=1.0),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(SGD(0.1, clipnorm=1.0)),
    "scaled adam": lambda: keras.optimizers.LossScaleOptimizer(optimizers.Adam(0.1)),
    "a user's": lambda: Halved(0.1, clipnorm=1.0),
}


@pytest.fixture(name="loaded", scope="module")
def fixture_loaded(tmp_path_factory):
    """Models, and what a new process says of the file of each.

    Of each optimizer, aggregating or not, and of a folded network.
    """
    folder, models = tmp_path_factory.mktemp("saved"), {}
    for name, build in OPTIMIZERS.items():
        for aggregates in (False, True):
            optimizer = build()
            if aggregates:
                training.sum_before_clipping(optimizer)
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            model.compile(optimizer, "mse")
            optimizer.build(model.trainable_variables)
            optimizer.apply([keras.ops.ones(x.shape) for x in model.trainable_weights])
            models[name, aggregates] = model
            model.save(folder / f"{name}-{aggregates}.keras")
    folded = export.fold_batch_norm(create_model(SMALL, classes=2))
    folded.save(folder / "folded.keras")
    np.save(folder / "images.npy", pixels())
    command = [sys.executable, "-m", "tests.optimizers.saved_optimizers", str(folder)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    pairs = {key: (x, found["{}-{}".format(*key)]) for key, x in models.items()}
    return found | pairs | {"folded": (folded, found["folded"])}


@pytest.mark.parametrize("aggregates", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_compiled_model_loads_in_a_new_process(loaded, name, aggregates):
    model, found = loaded[name, aggregates]
    stock = OPTIMIZERS[name]()
    assert found["kind"] == type(model.optimizer).__name__ == type(stock).__name__
    assert isinstance(model.optimizer, type(stock))
    variables = [np.array(x).tolist() for x in model.optimizer.variables]
    assert found["variables"] == variables
    assert found["stepped"] == stepped(stock)
    if "on replicas" in found:
        rate = 0.05 if name == "a user's" else 0.1
        # The norm of the sum is 1 after clipping, or else that of each part.
        moved = rate * (2**-0.5 if aggregates else 1.0)
        np.testing.assert_allclose(found["on replicas"], 1 - moved, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"a user's"}))
def test_an_aggregating_optimizer_has_the_settings_of_what_it_was(name):
    optimizer, stock = OPTIMIZERS[name](), OPTIMIZERS[name]()
    training.sum_before_clipping(optimizer)
    kind = type(optimizer)
    training.sum_before_clipping(optimizer)
    assert type(optimizer) is kind
    configs = [optimizer.get_config(), stock.get_config()]
    for config in configs:
        config.pop("inner_optimizer", None)
        config.pop("name")
    assert configs[0] == configs[1]
    copy = kind.from_config(optimizer.get_config())
    assert type(copy) is kind
    assert stepped(copy) == stepped(stock)


def test_a_folded_model_loads_in_a_new_process(loaded):
    model, found = loaded["folded"]
    np.testing.assert_allclose(found, model.predict(pixels(), verbose=0), rtol=1e-5)


def test_every_class_of_the_package_has_its_name_after_the_import(loaded):
    assert loaded["registered late"] == []
    assert loaded["registered and never found"] == []
