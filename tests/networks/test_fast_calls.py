"""Eager calls that are traced, and `predict` of one batch, do what Keras's do."""

import copy
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import create_model
from tests.networks.test_fit import IMAGES, calls  # noqa: F401  A fixture.
from tests.tiny_networks import NANO, spread_weights


@pytest.fixture
def model():
    network = create_model(NANO, classes=3)
    spread_weights(network, IMAGES)
    return network


def call_often(model, images=IMAGES, num=5):
    return [np.asarray(model(images)) for _ in range(num)]


def test_eager_calls_are_traced_from_the_third_on(model, calls):  # noqa: F811
    first, *others = call_often(model)
    assert len(calls) == 3
    assert all(isinstance(model(x), tf.Tensor) for x in (IMAGES, tf.constant(IMAGES)))
    assert len(calls) == 3
    for found in others:
        np.testing.assert_allclose(found, first, rtol=1e-5)
    assert first.std() > 0.01


def test_the_graph_follows_weights_and_settings(model):
    call_often(model)
    dense = model.layers[-1]
    dense.bias.assign([5.0, 0.0, 0.0])
    assert np.asarray(model(IMAGES))[:, 0].min() > 0.9
    dense.activation = None
    assert np.asarray(model(IMAGES)).sum(-1).max() > 1.5
    logits = np.asarray(model(IMAGES))
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones((2, 3)))
    assert np.abs(np.asarray(model(IMAGES)) - logits).max() > 1e-3


def test_training_is_never_traced(model, calls):  # noqa: F811
    for _ in range(4):
        model(IMAGES, training=True)
    assert len(calls) == 4


def test_gradients_pass_through_the_graph(model):
    def gradients():
        images = tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(model(images)[:, 0])
        return tape.gradient(loss, [images, model.layers[-1].kernel.value])

    wanted, *_, found = [gradients() for _ in range(4)]
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
        assert np.abs(a).max() > 0


def test_a_network_within_a_model_is_not_traced_apart(model, calls):  # noqa: F811
    images = keras.Input((32, 32, 3))
    outer = keras.Model(images, keras.layers.Dense(2)(model(images)))
    calls.clear()
    for _ in range(4):
        outer(IMAGES, training=True)
        outer.stateless_call(outer.trainable_variables, outer.non_trainable_variables,
                             IMAGES)  # fmt: skip
    assert len(calls) == 8


def test_other_inputs_are_left_to_keras(model):
    for _ in range(3):
        with pytest.raises(ValueError, match="Expected shape"):
            model(IMAGES[0])
    assert model(keras.Input((32, 32, 3))).shape == (None, 3)


def test_a_traced_model_is_copied_saved_and_freed(model, tmp_path):
    wanted = call_often(model)[-1]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (copy.deepcopy(model), loaded):
        np.testing.assert_allclose(call_often(each)[-1], wanted, rtol=1e-5)
    weights = weakref.ref(loaded.layers[-1].kernel)
    del loaded, each
    gc.collect()
    assert weights() is None


class Watching(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events = []

    def on_predict_begin(self, logs=None):
        self.events.append("begin")

    def on_predict_batch_end(self, batch, logs=None):
        self.events.append((batch, logs["outputs"].shape))

    def on_predict_end(self, logs=None):
        self.events.append("end")


@pytest.mark.parametrize(
    "inputs", [IMAGES, tf.constant(IMAGES), IMAGES.astype("uint8")]
)
def test_one_batch_is_predicted_as_by_keras(model, inputs, capsys):
    by_keras, ours = Watching(), Watching()
    wanted = keras.Model.predict(model, inputs, callbacks=[by_keras])
    printed = capsys.readouterr().out
    found = model.predict(inputs, callbacks=[ours])
    assert type(found) is type(wanted) is np.ndarray and found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert ours.events == by_keras.events == ["begin", (0, (2, 3)), "end"]
    assert "1/1" in printed and "1/1" in capsys.readouterr().out
    model.predict(inputs, verbose=0)
    assert capsys.readouterr().out == ""


def test_several_batches_are_predicted_by_keras(model):
    watching = Watching()
    found = model.predict(IMAGES, batch_size=1, callbacks=[watching], verbose=0)
    assert [x[0] for x in watching.events[1:-1]] == [0, 1]
    np.testing.assert_allclose(found, model.predict(IMAGES, verbose=0), rtol=1e-5)
