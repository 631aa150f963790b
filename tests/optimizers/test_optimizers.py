"""Updates of one operation against Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.testing import TestCase as KerasTestCase

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


@pytest.mark.parametrize(
    "kind",
    [optimizers.Adam, optimizers.AdamW, optimizers.RMSpropTF],
)
@pytest.mark.parametrize(
    "settings", [{}, {"weight_decay": 0.004, "clipnorm": 1.0}, {"use_ema": True}]
)
def test_keras_harness_accepts_the_settings_of_an_optimizer(kind, settings):
    optimizer = kind(0.5, epsilon=1e-5, **settings)
    KerasTestCase().run_class_serialization_test(optimizer)


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_sparse_gradients_and_excluded_variables_are_as_in_keras(kind):
    """As Keras's own tests of its optimizers have them."""

    def moved(module):
        optimizer = getattr(module, kind)(0.1, weight_decay=0.3)
        rows, whole = (keras.Variable(START, name=name) for name in ("rows", "whole"))
        optimizer.exclude_from_weight_decay(var_names=["whole"])
        optimizer.build([rows, whole])
        for gradient in GRADIENTS:
            some = tf.IndexedSlices(gradient[[0, 2]], [0, 2], tf.constant([3, 4]))
            optimizer.apply([some, tf.constant(gradient)], [rows, whole])
        return [np.array(x) for x in (rows, whole, *optimizer.variables)]

    for found, wanted in zip(moved(optimizers), moved(keras.optimizers), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.fixture(name="floatx", params=["float64", "float32", "bfloat16", "float16"])
def fixture_floatx(request):
    before = keras.config.floatx()
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx(before)


# How far weights of about 1 may be off after 50 steps of up to 0.01.
TOLERANCES = {"float64": 1e-13, "float32": 1e-5, "bfloat16": 0.03, "float16": 4e-3}


def adam_in_numpy(start, gradients, rate, decay, amsgrad, beta1=0.9, beta2=0.999):
    """Kingma and Ba 2015, Algorithm 1, as Section 2 orders it; decoupled decay."""
    weights, m, v, largest = start.copy(), 0.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        weights -= rate * decay * weights
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        largest = np.maximum(largest, v)
        alpha = rate * np.sqrt(1 - beta2**step) / (1 - beta1**step)
        root = np.sqrt(largest if amsgrad else v)
        weights -= alpha * m / (root + 1e-7)
    return weights


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize(
    "kind, decay", [(optimizers.Adam, 0.0), (optimizers.AdamW, 0.3)]
)
def test_adam_is_that_of_the_paper_in_every_precision(floatx, kind, decay, amsgrad):
    gradients = np.random.default_rng(1).normal(0.5, 1, size=(50, 3, 4))
    variable = keras.Variable(START.astype("float64"))
    start = np.array(keras.ops.cast(variable, "float64"))
    optimizer = kind(0.01, weight_decay=decay or None, amsgrad=amsgrad)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient, floatx)], [variable])
    found = np.array(keras.ops.cast(variable, "float64"))
    wanted = adam_in_numpy(start, gradients, 0.01, decay, amsgrad)
    assert np.abs(wanted - start).mean() > 0.05
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCES[floatx])


@pytest.mark.parametrize("changed", [{}, {"centered": True}, {"momentum": 0.0}])
def test_rmsprop_forgets_slowly_in_every_precision(floatx, changed):
    """A share of 0.999 is 1 in bfloat16: the mean squares would stay at their start."""
    settings = {"rho": 0.999, "momentum": 0.9, "epsilon": 1e-3} | changed
    variable = keras.Variable(START)
    optimizer = optimizers.RMSpropTF(0.01, **settings)
    optimizer.build([variable])
    for _ in range(20):
        optimizer.apply([keras.ops.full((3, 4), 0.1, floatx)], [variable])
    (squares,) = optimizer._velocities
    wanted = 0.01 + 0.99 * 0.999**20  # From 1 towards the square of the gradient.
    np.testing.assert_allclose(keras.ops.cast(squares, "float64"), wanted, rtol=1e-3)


@pytest.mark.parametrize(
    "settings", [{"use_ema": True}, {"gradient_accumulation_steps": 2}]
)
@pytest.mark.parametrize("floatx", ["bfloat16"], indirect=True)
def test_what_keras_adds_to_an_optimizer_works_in_bfloat16(floatx, settings):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(optimizers.AdamW(0.1, **settings), "mse")
    losses = model.fit(START, START[:, :1], epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("changed", [{}, {"centered": True}, {"momentum": 0.0}])
def test_rmsprop_is_that_of_keras_but_for_its_start(changed):
    settings = {"learning_rate": 0.1} | RMSPROP | changed
    ours = updated(optimizers.RMSpropTF(**settings))
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
        (optimizers.RMSpropTF(**RMSPROP), "ResourceApplyRMSProp"),
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
