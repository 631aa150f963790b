"""1x1 convolutions with gradients of their own: Keras's numbers, as products."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.layers.convolutions import Conv2D
from keras_effnetv2.layers.gradients import stock_gradients

SHAPE = (2, 5, 7, 8)


def images(dtype="float32"):
    return tf.random.stateless_normal(SHAPE, (0, 0), dtype=dtype)


def pair(dtype, **arguments):
    """Ours, and Keras's with the same weights, which bfloat16 holds."""
    keras.utils.set_random_seed(0)
    options = {"filters": 6, "kernel_size": 1, "bias_initializer": "ones", **arguments}
    ours, theirs = (
        kind(dtype=policy, **options)
        for kind, policy in ((Conv2D, dtype), (keras.layers.Conv2D, _wider(dtype)))
    )
    for layer in (ours, theirs):
        layer.build(SHAPE)
    for mine, their in zip(ours.weights, theirs.weights, strict=True):
        their.assign(tf.cast(tf.cast(their.value, "bfloat16"), their.dtype))
        mine.assign(their)
    return ours, theirs


def _wider(dtype):
    return "float32" if dtype.startswith("mixed") else dtype


def outcomes(layer, x, order=1):
    """Outputs, and the first or second derivatives for inputs and weights."""
    sources = [x, *(w.value for w in layer.trainable_weights)]
    with tf.GradientTape() as outer, tf.GradientTape() as tape:
        outer.watch(x)
        tape.watch(x)
        y = tf.sin(layer(x))
        first = tape.gradient(y, sources)
        total = tf.add_n([tf.reduce_sum(tf.cast(g, "float64") ** 2) for g in first])
    return [y, *(first if order == 1 else outer.gradient(total, sources))]


def assert_close(ours, theirs, tolerance):
    for found, exact in zip(ours, theirs, strict=True):
        found, exact = (np.asarray(tf.cast(v, "float64")) for v in (found, exact))
        scale = np.abs(exact).max()
        np.testing.assert_allclose(found, exact, atol=tolerance * scale, rtol=0)


def kinds(layer, shape=SHAPE):
    """Of operations in the graph of the gradients."""

    @tf.function
    def gradients(x):
        return tf.gradients(layer(x), [x, layer.kernel.value])

    spec = tf.TensorSpec(shape, layer.compute_dtype)
    graph = gradients.get_concrete_function(spec).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"use_bias": False}, {"activation": "sigmoid"}, {"padding": "same"}],
    ids=["plain", "no bias", "activated", "same padding"],
)
def test_derivatives_are_those_of_keras(arguments, order):
    ours, theirs = pair("float64", **arguments)
    found, wanted = (outcomes(x, images("float64"), order) for x in (ours, theirs))
    assert_close(found, wanted, 1e-12)


@pytest.mark.parametrize(
    "dtype, tolerance", [("float32", 1e-5), ("mixed_bfloat16", 0.02)]
)
def test_gradients_are_exact_to_rounding(dtype, tolerance):
    ours, theirs = pair(dtype)
    x = tf.cast(images("bfloat16"), ours.compute_dtype)
    found = outcomes(ours, x)
    assert [v.dtype for v in found[:2]] == [ours.compute_dtype] * 2
    assert_close(found, outcomes(theirs, tf.cast(x, "float32")), tolerance)


@pytest.mark.parametrize("shape", [SHAPE, (None, None, None, 8)])
def test_gradients_are_products(shape):
    ours, theirs = pair("float32")
    assert "MatMul" in kinds(ours, shape)
    assert "Conv2DBackpropFilter" not in kinds(ours, shape)
    assert "Conv2DBackpropFilter" in kinds(theirs, shape)


@pytest.mark.parametrize(
    "arguments",
    [{"kernel_size": 3}, {"strides": 2}, {"groups": 2}],
    ids=["kernel of 3", "strides of 2", "groups"],
)
def test_what_is_no_product_is_left_to_keras(arguments):
    ours, theirs = pair("float64", **arguments)
    assert "MatMul" not in kinds(ours)
    found, wanted = (outcomes(x, images("float64")) for x in (ours, theirs))
    assert_close(found, wanted, 1e-12)


def test_graphs_to_be_saved_have_stock_gradients():
    ours, _ = pair("float32")
    with stock_gradients():
        assert "MatMul" not in kinds(ours)


def test_config_is_that_of_keras():
    ours, theirs = pair("float32")
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}
    copy = keras.layers.deserialize(keras.layers.serialize(ours))
    assert type(copy) is Conv2D
