"""MBConv, FusedMBConv, SqueezeExcite and StochasticDepth."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.layers import (
    BatchNorm,
    FusedMBConv,
    GlobalContext,
    MBConv,
    SqueezeExcite,
    StochasticDepth,
)

BLOCKS = [MBConv, FusedMBConv]


def model_of(layer, channels=8):
    images = keras.Input((None, None, channels))
    return keras.Model(images, layer(images))


def images(channels=8, height=9, width=12, batch=4):
    random = np.random.default_rng(0)
    return random.normal(size=(batch, height, width, channels)).astype("float32")


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("expand_ratio", [1, 2.5, 4])
@pytest.mark.parametrize("se_ratio", [0, 0.25])
def test_every_shape_of_block(block, kernel_size, strides, expand_ratio, se_ratio):
    layer = block(8, kernel_size, strides, expand_ratio, se_ratio, activation="relu6")
    model = model_of(layer)
    outputs = model(images())
    assert outputs.shape == layer.compute_output_shape((4, 9, 12, 8))
    assert model.output.shape == (None, None, None, 8)
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(images()), outputs)


def stock_mbconv(layer, x, training):
    """MBConv written once more, in plain TensorFlow, from the paper's Figure 2."""
    swish = tf.nn.silu
    hidden = swish(batch_norm(layer.expand_bn, layer.expand_conv(x), training))
    hidden = layer.dwconv2(hidden)
    hidden = swish(batch_norm(layer.bn, hidden, training))
    gate = tf.reduce_mean(hidden, (1, 2), keepdims=True)
    gate = tf.matmul(gate, layer.se.reduce.kernel.value[0]) + layer.se.reduce.bias.value
    gate = swish(gate)
    gate = tf.matmul(gate, layer.se.expand.kernel.value[0]) + layer.se.expand.bias.value
    hidden = layer.project_conv(hidden * tf.sigmoid(gate))
    return batch_norm(layer.project_bn, hidden, training) + x


def batch_norm(norm, x, training):
    mean, variance = norm.moving_mean.value, norm.moving_variance.value
    if training:
        mean, variance = tf.nn.moments(x, (0, 1, 2))
    return tf.nn.batch_normalization(
        x, mean, variance, norm.beta.value, norm.gamma.value, 1e-3
    )


@pytest.mark.parametrize("training", [False, True])
def test_mbconv_is_the_papers(training):
    layer = MBConv(8)
    layer(images())
    expected = stock_mbconv(layer, images(), training)
    np.testing.assert_allclose(
        layer(images(), training=training), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("block", BLOCKS)
def test_squeeze_excite_has_a_quarter_of_the_input_channels(block):
    layer = block(16, se_ratio=0.25, expand_ratio=4)
    layer.build((None, None, None, 24))
    assert layer.se.filters == 6


@pytest.mark.parametrize("block", BLOCKS)
def test_rematerialisation_gives_the_same_numbers(block):
    def step(remat):
        keras.utils.set_random_seed(0)
        model = model_of(block(8, remat=remat, drop_path_rate=0.3))

        @tf.function
        def gradients(x):
            with tf.GradientTape() as tape:
                outputs = model(x, training=True)
                loss = tf.reduce_sum(outputs * tf.sin(outputs))
            return tape.gradient(loss, [v.value for v in model.trainable_weights])

        return gradients(images()), model.get_weights()

    (expected, weights), (found, found_weights) = step(False), step(True)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    # The moving statistics have moved, once.
    for a, b in zip(weights, found_weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("block", BLOCKS)
def test_frozen_sublayers_stay_frozen_when_loaded(block):
    model = model_of(block(8))
    layer = model.layers[1]
    layer.project_bn.trainable = False
    copy = keras.Model.from_config(model.get_config()).layers[1]
    assert not copy.project_bn.trainable
    assert copy.expand_bn.trainable
    layer.trainable = False
    copy = keras.Model.from_config(model.get_config()).layers[1]
    norms = [x for x in vars(copy).values() if isinstance(x, BatchNorm)]
    assert norms
    assert not any(norm.trainable for norm in norms)


def test_float_images_stay_in_the_policy_precision():
    layer = MBConv(8, dtype="mixed_bfloat16")
    assert layer(images()).dtype == tf.bfloat16
    assert layer.project_conv.kernel.dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters=0"),
        ({"filters": 8, "expand_ratio": 0.5}, "expand_ratio=0.5"),
        ({"filters": 8, "se_ratio": 2}, "se_ratio must be"),
        ({"filters": 8, "drop_path_rate": 1.0}, "rate must be"),
        ({"filters": 8, "activation": "nonsense"}, "nonsense"),
        ({"filters": 8, "padding": "valid"}, "padding must be one of"),
        ({"filters": 8, "attention": "se"}, "attention must be one of"),
    ],
)
@pytest.mark.parametrize("block", BLOCKS)
def test_bad_arguments_are_named(block, arguments, message):
    with pytest.raises(ValueError, match=message):
        block(**arguments)


@pytest.mark.parametrize("layer", [SqueezeExcite, GlobalContext])
def test_gates_need_filters(layer):
    with pytest.raises(ValueError, match="filters must be at least 1"):
        layer(0)


def test_global_context_weighs_pixels_before_it_squeezes():
    layer = GlobalContext(3, activation="relu")
    x = images().astype("float64")
    layer(images())
    weights = [np.asarray(weight, "float64") for weight in layer.weights]
    attend, _, reduce, bias, expand, other = (
        weights[i].reshape(weights[i].shape[-2:] if weights[i].ndim == 4 else -1)
        for i in (0, 1, 2, 3, 6, 7)
    )
    shares = np.exp(x @ attend)
    shares /= shares.sum((1, 2), keepdims=True)
    squeezed = (x * shares).sum((1, 2), keepdims=True) @ reduce + bias
    squeezed -= squeezed.mean(-1, keepdims=True)
    squeezed /= np.sqrt((squeezed**2).mean(-1, keepdims=True) + 1e-6)
    gates = np.maximum(squeezed, 0) @ expand + other
    np.testing.assert_allclose(layer(images()), x / (1 + np.exp(-gates)), atol=1e-5)


def test_stochastic_depth_drops_whole_examples_at_its_rate():
    ones = np.ones((4000, 2, 3, 1), "float32")
    outputs = np.asarray(StochasticDepth(0.2, seed=0)(ones, training=True))
    per_example = outputs.reshape(4000, -1)
    assert (per_example == per_example[:, :1]).all()
    assert set(np.unique(outputs).round(4)) == {0.0, 1.25}
    assert abs((per_example[:, 0] == 0).mean() - 0.2) < 0.02


def test_stochastic_depth_does_nothing_in_inference_or_at_rate_0():
    x = images()
    np.testing.assert_array_equal(StochasticDepth(0.5)(x), x)
    layer = StochasticDepth(0.0)
    np.testing.assert_array_equal(layer(x, training=True), x)
    layer.rate = 0.9
    assert (np.asarray(layer(x, training=True)) != x).any()


def test_a_users_functional_model_of_blocks_trains_and_reloads(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = FusedMBConv(8, strides=2)(inputs)
    x = MBConv(8, drop_path_rate=0.1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile("sgd", "mse")
    model.fit(images(3, 16, 16), np.zeros((4, 2)), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    expected = model.predict(images(3, 16, 16), verbose=0)
    np.testing.assert_array_equal(
        loaded.predict(images(3, 16, 16), verbose=0), expected
    )
