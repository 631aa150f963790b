"""Updates of one operation against Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import optimizers

RANDOM = np.random.default_rng(0)
GRADIENTS = RANDOM.normal(size=(5, 3, 4)).astype("float32")
START = RANDOM.normal(size=(3, 4)).astype("float32")
RMSPROP = {"rho": 0.9, "momentum": 0.9, "epsilon": 1e-3}


def updated(optimizer, slots=()):
    """The variable and all of the optimizer's after five gradients."""
    variable = keras.Variable(START)
    optimizer.build([variable])
    for place, value in slots:
        optimizer.variables[place].assign(value)
    for gradient in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return [np.array(v) for v in (variable, *optimizer.variables)]


@pytest.mark.parametrize(
    "kind, theirs, settings",
    [
        (optimizers.Adam, keras.optimizers.Adam, {"beta_1": 0.8}),
        (optimizers.Adam, keras.optimizers.Adam, {"amsgrad": True}),
        (optimizers.Adam, keras.optimizers.Adam, {"global_clipnorm": 0.5}),
        (optimizers.AdamW, keras.optimizers.AdamW, {"weight_decay": 0.1}),
    ],
)
def test_adam_is_that_of_keras(kind, theirs, settings):
    pair = [each(learning_rate=0.1, **settings) for each in (kind, theirs)]
    for ours, wanted in zip(*map(updated, pair), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("changed", [{}, {"centered": True}, {"momentum": 0.0}])
def test_rmsprop_is_that_of_keras_but_for_its_start(changed):
    settings = {"learning_rate": 0.1} | RMSPROP | changed
    ours = updated(optimizers.RMSpropOfTensorFlow1(**settings))
    ones = [(2, np.ones(START.shape))]
    theirs = updated(keras.optimizers.RMSprop(**settings), ones)
    for found, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_an_average_moves_by_a_share_of_its_distance(rate):
    average, variable = keras.Variable(START), keras.Variable(GRADIENTS[0])
    optimizers.move_towards(average, variable, rate)
    wanted = (1 - rate) * START + rate * GRADIENTS[0]
    np.testing.assert_allclose(np.array(average), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer, operation",
    [
        (optimizers.Adam(), "ResourceApplyAdam"),
        (optimizers.AdamW(), "ResourceApplyAdam"),
        (optimizers.RMSpropOfTensorFlow1(**RMSPROP), "ResourceApplyRMSProp"),
    ],
)
def test_an_update_is_one_operation(optimizer, operation):
    variable = keras.Variable(START)
    optimizer.build([variable])

    @tf.function
    def update(gradient):
        optimizer.apply([gradient], [variable])

    graph = update.get_concrete_function(tf.constant(GRADIENTS[0])).graph
    kinds = [node.type for node in graph.get_operations()]
    assert kinds.count(operation) == 1
    assert "Sqrt" not in kinds  # Of an update in several.


def test_a_compiled_model_keeps_its_optimizer_in_its_file(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(optimizers.Adam(0.01, beta_1=0.8), "mse")
    model.fit(START, START[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert type(loaded) is optimizers.Adam
    for found, wanted in zip(loaded.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(found), np.array(wanted))
