"""BatchNorm against the stock layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.layers import BatchNorm

CASES = [
    # training, trainable
    (True, True),
    (False, True),
    (True, False),
]


def images(batch=6, height=5, width=7, channels=9):
    random = np.random.default_rng(0)
    return random.normal(3.0, 2.0, (batch, height, width, channels)).astype("float32")


def pair(dtype="float32", channels=9, **arguments):
    """A stock layer and ours with equal, non-trivial weights."""
    stock = keras.layers.BatchNormalization(dtype=dtype, **arguments)
    ours = BatchNorm(dtype=dtype, **arguments)
    random = np.random.default_rng(1)
    stock.build((None, None, None, channels))
    ours.build((None, None, None, channels))
    weights = [random.uniform(0.5, 1.5, w.shape) for w in stock.weights]
    stock.set_weights(weights)
    ours.set_weights(weights)
    return stock, ours


def run(layer, inputs, training):
    """Outputs, and gradients for inputs and trainable weights."""
    inputs = tf.constant(inputs)
    weights = [w.value for w in layer.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)
        wave = tf.sin(tf.range(tf.size(outputs), dtype="float32"))
        loss = tf.reduce_mean(
            tf.cast(outputs, "float32") * tf.reshape(wave, tf.shape(outputs))
        )
    return outputs, tape.gradient(loss, [inputs, *weights])


def assert_close(ours, stock, tolerance):
    ours, stock = (np.asarray(x).astype("float64") for x in (ours, stock))
    np.testing.assert_allclose(ours, stock, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("training", "trainable"), CASES)
@pytest.mark.parametrize("batch", [1, 6])
def test_float32_equals_the_stock_layer(training, trainable, batch):
    stock, ours = pair()
    stock.trainable = ours.trainable = trainable
    expected, expected_gradients = run(stock, images(batch), training)
    outputs, gradients = run(ours, images(batch), training)
    assert_close(outputs, expected, 1e-5)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert_close(gradient, expected_gradient, 1e-5)
    for weight, expected_weight in zip(ours.weights, stock.weights, strict=True):
        assert_close(weight, expected_weight, 1e-5)


# Results are rounded to the policy's precision: one step of it where the two float32
# values lie on different sides of a rounding boundary, and 1e-5 on average.
STEPS = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-10}


@pytest.mark.parametrize(("training", "trainable"), CASES)
@pytest.mark.parametrize("policy", STEPS)
@pytest.mark.parametrize("channels", [9, 16])
def test_mixed_precision_equals_the_stock_layer(policy, channels, training, trainable):
    stock, ours = pair(policy, channels)
    stock.trainable = ours.trainable = trainable
    inputs = images(channels=channels)
    expected, expected_gradients = run(stock, inputs, training)
    outputs, gradients = run(ours, inputs, training)
    assert outputs.dtype == expected.dtype
    assert_close(outputs, expected, STEPS[policy])
    difference = np.abs(np.float32(outputs) - np.float32(expected))
    assert np.mean(difference) < 1e-5
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert_close(gradient, expected_gradient, STEPS[policy])
    for weight, expected_weight in zip(ours.weights, stock.weights, strict=True):
        assert_close(weight, expected_weight, 1e-5)


@pytest.mark.parametrize("synchronized", [False, True, 8])
def test_one_replica_trains_with_the_fused_kernel(synchronized):
    ours = BatchNorm(synchronized=synchronized)
    graph = tf.function(lambda x: ours(x, training=True)).get_concrete_function(
        tf.TensorSpec((None, None, None, 9))
    )
    kinds = {op.type for op in graph.graph.get_operations()}
    assert "FusedBatchNormV3" in kinds


@pytest.mark.parametrize("training", [False, True])
def test_the_kernel_takes_pytorchs_epsilon_as_it_is(training):
    stock = keras.layers.BatchNormalization(epsilon=1e-5)
    ours = BatchNorm(epsilon=1e-5)
    x = 1e-3 * images()  # Of a variance that is less than the epsilon.
    assert_close(ours(x, training=training), stock(x, training=training), 1e-5)
    assert ours._has_fused_kernel(images())


@pytest.mark.parametrize(
    "arguments",
    [
        {"center": False},
        {"scale": False},
        {"axis": 1},
        {"epsilon": 1e-7},
        {"epsilon": 1e-7, "synchronized": True},
        {"epsilon": 1e-7, "dtype": "bfloat16"},
    ],
)
def test_what_the_kernel_cannot_do_equals_the_stock_layer(arguments):
    stock = keras.layers.BatchNormalization(**arguments)
    ours = BatchNorm(**arguments)
    assert_close(ours(images(), training=True), stock(images(), training=True), 1e-6)
    for weight, expected in zip(ours.weights, stock.weights, strict=True):
        assert_close(weight, expected, 1e-6)


def test_other_ranks_and_masks_are_left_to_keras():
    stock, ours = keras.layers.BatchNormalization(), BatchNorm()
    sequences = images()[:, 0]
    mask = np.arange(7)[None] < np.array([7, 3, 5, 1, 2, 6])[:, None]
    expected = stock(sequences, training=True, mask=mask)
    assert_close(ours(sequences, training=True, mask=mask), expected, 1e-6)


def test_config_and_variables_are_those_of_the_stock_layer():
    stock, ours = pair(momentum=0.7, epsilon=1e-2)
    config, expected = ours.get_config(), stock.get_config()
    assert {**config, "name": None} == {**expected, "name": None}
    assert [w.name for w in ours.weights] == [w.name for w in stock.weights]


@pytest.mark.parametrize("synchronized", [False, True, 1, 8, np.int64(2)])
def test_synchronized_is_kept(synchronized):
    config = BatchNorm(synchronized=synchronized).get_config()
    assert config["synchronized"] == synchronized
    assert type(config["synchronized"]) in (bool, int)
    assert BatchNorm.from_config(config).get_config() == config


@pytest.mark.parametrize("synchronized", [0, -1, 1.5, "all", None])
def test_other_values_of_synchronized_are_refused(synchronized):
    with pytest.raises(ValueError, match="synchronized must be"):
        BatchNorm(synchronized=synchronized)


@pytest.mark.parametrize(
    "policy, channels, kind",
    [
        ("mixed_bfloat16", 24, "float32"),
        ("mixed_bfloat16", 32, "bfloat16"),
        ("mixed_float16", 24, "float16"),
        ("float32", 24, "float32"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_only_what_is_slow_in_bfloat16_is_computed_in_float32(
    policy, channels, kind, training
):
    ours = BatchNorm(dtype=policy)

    @tf.function
    def gradient(x):
        return tf.gradients(ours(x, training=training), x)

    spec = tf.TensorSpec((4, 3, 3, channels), ours.compute_dtype)
    operations = gradient.get_concrete_function(spec).graph.get_operations()
    kinds = {
        x.type: x.get_attr("T").name for x in operations if "FusedBatchNorm" in x.type
    }
    assert kinds == {"FusedBatchNormV3": kind, "FusedBatchNormGradV3": kind}
