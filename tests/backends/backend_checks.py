"""Run by test_backends.py in a process of its own, on a backend of its own."""

import pathlib
import sys

import keras
import numpy as np

from keras_effnetv2 import (
    __main__,
    create_model,
    export,
    feature_pyramid,
    freeze,
    inner_layers,
    optimizers,
    preprocess_input,
)
from keras_effnetv2.explanation import activation_maps
from keras_effnetv2.layers import BatchNorm, StochasticDepth
from keras_effnetv2.training.progressive.learning import set_rates
from keras_effnetv2.training.progressive.stages import plan_stages
from tests.backends.test_backends import STAGES
from tests.tiny_networks import NANO, SMALL

FOLDER = pathlib.Path(sys.argv[1])
VARIANT = NANO


def load():
    return keras.models.load_model(FOLDER / "model.keras", compile=False)


def expected(name):
    return np.load(FOLDER / "expected.npz")[name]


def tolerance():
    """Of the largest number; OpenVINO computes in bfloat16 where the processor can."""
    if keras.backend.backend() != "openvino":
        return 1e-4
    import openvino

    hint = openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT")
    return 1e-4 if hint == openvino.Type.f32 else 0.05


def assert_close(found, name):
    limit = tolerance() * np.abs(expected(name)).max()
    assert np.abs(found - expected(name)).max() < limit, name


def trained(model, optimizer):
    """Its weights, one after the other, after two steps without chance."""
    images, labels = expected("images"), np.arange(len(expected("images"))) % 3
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=2, shuffle=False, verbose=0)
    return np.concatenate([x.ravel() for x in model.get_weights()])


def predicts():
    model, images = load(), expected("images")
    assert_close(model.predict(images, verbose=0), "scores")
    assert_close(model.predict_on_batch(images), "scores")
    (features,) = feature_pyramid(model, [3]).predict(images, verbose=0).values()
    assert_close(features, "features")
    body = create_model(
        VARIANT, False, weights=FOLDER / "model.keras", include_preprocessing=False
    )
    inputs = preprocess_input(images, mode=model.preprocessing)
    assert_close(body.predict(inputs, verbose=0), "body")


def keeps_what_is_frozen():
    model = load()
    norms = [x for x in inner_layers(model) if isinstance(x, BatchNorm)]
    assert norms and not any(norm.trainable for norm in norms)
    names = [variable.path for variable in model.trainable_variables]
    assert names == list(expected("trainable"))
    freeze(model, "stage3", batch_norm="trainable")
    assert len(model.trainable_variables) > len(names)
    freeze(model, "stage3")
    assert [variable.path for variable in model.trainable_variables] == names


def folds_batch_norms():
    folded = export.fold_batch_norm(load())
    assert not any(isinstance(x, BatchNorm) for x in inner_layers(folded))
    assert_close(folded.predict(expected("images"), verbose=0), "scores")


def trains():
    for name in ("SGD", "Adam"):
        optimizer = getattr(optimizers, name, None) or keras.optimizers.SGD
        assert_close(trained(load(), optimizer(1e-3)), name)


def remat_changes_nothing():
    found = []
    for remat in (False, True):
        keras.utils.set_random_seed(0)
        model = create_model(SMALL, classes=3, remat=remat, drop_path_rate=0.5)
        found.append(trained(model, "sgd"))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def sets_the_rates_of_a_stage():
    model = load()
    stages = plan_stages(**STAGES)
    assert set_rates(model, stages[-1])
    layers = [x for x in inner_layers(model) if isinstance(x, StochasticDepth)]
    np.testing.assert_allclose([x.rate for x in layers], expected("rates"))


def explains():
    maps = activation_maps.class_activation_maps(load(), expected("images"), [0, 2])
    assert_close(maps, "maps")


def refuses(*words):
    """Each of the commands, in one line that names the backend and what to do."""
    for command in words:
        args = __main__.parse(["keras_effnetv2", *command.split()])
        try:
            args.run(args)
        except ValueError as error:
            text = str(error)
        assert f"KERAS_BACKEND={keras.backend.backend()}" in text, text
        assert "Set KERAS_BACKEND=tensorflow" in text and "\n" not in text
    assert sorted(x.name for x in FOLDER.iterdir()) == ["expected.npz", "model.keras"]


TRAINING = (
    f"train --experiment digits-smoke --workdir {FOLDER}/run",
    "evaluate --experiment digits-smoke --weights imagenet",
    f"search --experiment digits-search --study {FOLDER}/a.journal",
    f"export saved_model --weights {FOLDER}/model.keras --output {FOLDER}/export",
)
EXPLAINING = f"explain --weights {FOLDER}/model.keras {FOLDER} --output {FOLDER}/a.png"

predicts()
keeps_what_is_frozen()
folds_batch_norms()
sets_the_rates_of_a_stage()
if keras.backend.backend() == "torch":
    trains()
    remat_changes_nothing()
    explains()
    refuses(*TRAINING)
else:
    refuses(*TRAINING, EXPLAINING)
load().save_weights(FOLDER / "again.weights.h5")
print("passed")
