"""Depthwise convolutions in bfloat16 have the gradients that they have in float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.layers.convolutions import DepthwiseConv


def gradients(layer, x, upstream):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return y, *tape.gradient(y, [x, layer.kernel], output_gradients=upstream(y))


def layers(kernel_size, strides, dtype, padding="same"):
    """Ours, and Keras's in float32 with the same kernel, which bfloat16 holds."""
    options = {"padding": padding, "use_bias": False}
    ours = DepthwiseConv(kernel_size, strides, dtype=dtype, **options)
    theirs = keras.layers.DepthwiseConv2D(kernel_size, strides, **options)
    for layer in (ours, theirs):
        layer.build((None, None, None, 8))
    kernel = tf.cast(tf.cast(theirs.kernel.value, "bfloat16"), "float32")
    for layer in (ours, theirs):
        layer.kernel.assign(kernel)
    return ours, theirs


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_gradients_in_bfloat16(kernel_size, strides, padding):
    ours, theirs = layers(kernel_size, strides, "mixed_bfloat16", padding)
    x = tf.random.stateless_normal((2, 9, 12, 8), (0, 0), dtype="bfloat16")

    def upstream(y):
        return tf.random.stateless_normal(y.shape, (0, 1), dtype=y.dtype)

    found = gradients(ours, x, upstream)
    wanted = gradients(
        theirs, tf.cast(x, "float32"), lambda y: tf.cast(upstream(found[0]), y.dtype)
    )
    for value, exact in zip(found, wanted, strict=True):
        scale = float(tf.reduce_max(tf.abs(exact)))
        np.testing.assert_allclose(
            tf.cast(value, "float32"), exact, atol=0.02 * scale, rtol=0
        )


def kinds_of_gradient(dtype, strides):
    """Of the operation that gives the gradient of the input: the dtype it works in."""
    layer, _ = layers(3, strides, dtype)

    @tf.function
    def gradient(x):
        return tf.gradients(layer(x), x)

    spec = tf.TensorSpec((None, 8, 8, 8), layer.compute_dtype)
    operations = gradient.get_concrete_function(spec).graph.get_operations()
    kind = "DepthwiseConv2dNativeBackpropInput"
    return [x.get_attr("T").name for x in operations if x.type == kind]


@pytest.mark.parametrize(
    "dtype, strides, kind",
    [
        ("mixed_bfloat16", 2, "float32"),
        ("mixed_bfloat16", 1, "bfloat16"),
        ("mixed_float16", 2, "float16"),
        ("float32", 2, "float32"),
    ],
)
def test_only_the_slow_gradient_is_computed_in_float32(dtype, strides, kind):
    assert kinds_of_gradient(dtype, strides) == [kind]
