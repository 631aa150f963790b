"""SiLU with a gradient of its own: Keras's numbers, in fewer operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.layers import FastActivation
from keras_effnetv2.layers.activations import activate, silu

POINTS = np.concatenate(
    [np.linspace(-30, 30, 241), [-1e4, -100, -1.2784645, 0, 100, 1e4]]
)


def gradients(function, x, upstream, order=1):
    with tf.GradientTape() as outer, tf.GradientTape() as tape:
        outer.watch(x)
        tape.watch(x)
        y = function(x)
        first = tape.gradient(y, x, output_gradients=upstream)
    return y, first if order == 1 else outer.gradient(first, x)


def both(dtype, order=1):
    """Ours and Keras's, each outputs and gradients."""
    x = tf.constant(POINTS, dtype)
    upstream = tf.constant(np.cos(POINTS), dtype)
    return (
        gradients(function, x, upstream, order)
        for function in (silu, keras.activations.silu)
    )


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_are_those_of_keras(order):
    ours, theirs = both("float64", order)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "dtype, tolerance", [("float32", 2e-6), ("float16", 4e-3), ("bfloat16", 2e-2)]
)
def test_gradients_are_exact_to_rounding(dtype, tolerance):
    ours, _ = both(dtype)
    # From the points and gradients that went in, which rounding has moved.
    x = tf.cast(tf.constant(POINTS, dtype), "float64")
    upstream = tf.cast(tf.constant(np.cos(POINTS), dtype), "float64")
    _, exact = gradients(keras.activations.silu, x, upstream)
    assert ours[1].dtype == dtype
    np.testing.assert_allclose(
        tf.cast(ours[1], "float64"), exact, rtol=tolerance, atol=tolerance
    )


def test_the_gradient_needs_no_second_sigmoid():
    @tf.function
    def gradient(x):
        return tf.gradients(activate(x, keras.activations.silu), x)

    graph = gradient.get_concrete_function(tf.TensorSpec((4, 8))).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("Sigmoid") == 1
    assert kinds.count("SoftplusGrad") == 1


def test_nothing_of_the_gradient_is_computed_in_the_forward_pass():
    @tf.function
    def gradient(x, dy):
        return tf.gradients(activate(x, keras.activations.silu), x, dy)

    spec = tf.TensorSpec((4, 8))
    graph = gradient.get_concrete_function(spec, spec).graph
    (difference,) = (x for x in graph.get_operations() if x.type == "Sub")
    (upstream,) = difference.control_inputs
    assert "dy" in [upstream.name, *(x.op.name for x in upstream.inputs)]


def test_other_activations_are_left_to_keras():
    x = tf.constant(POINTS, "float32")
    relu6 = keras.activations.relu6
    np.testing.assert_array_equal(activate(x, relu6), relu6(x))


def test_the_layer_comes_back_from_its_config():
    layer = FastActivation("swish", name="stem_activation")
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(copy) is FastActivation
    assert copy.activation is keras.activations.silu
    np.testing.assert_array_equal(copy(POINTS), layer(POINTS))
