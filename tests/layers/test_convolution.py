"""1x1 convolutions with gradients of their own: Keras's numbers, as products."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.layers.convolutions import Conv2D, DepthwiseConv
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


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("shape", [(2, 8, 12, 8), (2, 7, 9, 8), (2, 8, 9, 8)])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kind", [Conv2D, DepthwiseConv])
def test_symmetric_padding_is_half_a_kernel_on_every_side(
    kind, strides, kernel_size, shape, dtype
):
    keras.utils.set_random_seed(0)
    options = {"kernel_size": kernel_size, "strides": strides}
    options |= {"filters": 6} if kind is Conv2D else {}
    layer = kind(padding="symmetric", dtype=dtype, bias_initializer="ones", **options)
    x = tf.random.stateless_normal(shape, (0, 0))
    stock = {Conv2D: keras.layers.Conv2D, DepthwiseConv: keras.layers.DepthwiseConv2D}
    theirs = stock[kind](bias_initializer="ones", **options)
    margin = [kernel_size // 2] * 2
    padded = tf.pad(x, [[0, 0], margin, margin, [0, 0]])
    layer(x), theirs(padded)
    layer.set_weights(theirs.get_weights())
    found, wanted = layer(x), theirs(padded)
    assert found.shape == layer.compute_output_shape(shape) == wanted.shape
    assert_close([found], [wanted], 1e-5 if dtype == "float32" else 0.02)


def test_symmetric_padding_needs_a_middle():
    with pytest.raises(ValueError, match=r"odd sides. Received: kernel_size=\(4, 4\)"):
        Conv2D(6, 4, padding="symmetric")


def test_symmetric_padding_is_in_the_config():
    layer = DepthwiseConv(3, 2, padding="symmetric")
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert copy.get_config()["padding"] == "symmetric"
    assert copy.margins() == [[0, 0], [1, 1], [1, 1], [0, 0]]
