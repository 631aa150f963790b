"""Memory against a hand's count, and what is measured of a whole network."""

import keras
import pytest

from keras_effnetv2 import create_model, profiling
from keras_effnetv2.layers import BatchNorm
from keras_effnetv2.networks.architecture import (
    FUSED_MBCONV,
    MBCONV,
    BlockSpec,
    Variant,
)
from keras_effnetv2.profiling import measurement

TINY = Variant(
    "tiny",
    (
        BlockSpec(FUSED_MBCONV, 3, 1, 1, 8, 1),
        BlockSpec(MBCONV, 3, 2, 4, 16, 2, 0.25),
    ),
    stem_filters=8,
    train_size=32,
    eval_size=32,
    dropout_rate=0.2,
    top_filters=32,
)

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="measured on TensorFlow's graphs"
)


@on_tensorflow
def test_activation_memory_of_a_convolution_by_hand():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(images)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(images, keras.layers.Dense(2)(x))
    sizes = measurement.activation_bytes(model, (8, 8), batch_size=2)
    assert sizes == {
        "": 4 * 2 * 8 * 8 * 3,  # The kernel's gradient needs the images,
        "relu": 4 * 2 * 8 * 8 * 4,  # ReLU's its own output, and not the convolution's;
        "pool": 4 * 2 * 4,  # the dense kernel's its input.
    }


@on_tensorflow
def test_activation_memory_with_batch_norm_and_swish_by_hand():
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(images)
    x = BatchNorm(name="bn")(x)
    x = keras.layers.Activation("swish", name="swish")(x)
    x = keras.layers.Conv2D(5, 1, name="last")(x)
    model = keras.Model(images, x)
    sizes = measurement.activation_bytes(model, (7, 9), batch_size=3)
    area = 4 * 5
    assert sizes == {
        "": 4 * 3 * 7 * 9 * 3,
        "conv": 4 * 3 * area * 4,  # Batch norm's input,
        "bn": 4 * 3 * area * 4 + 4 * 2 * 4,  # swish's input; batch mean and variance.
        "swish": 4 * 3 * area * 4,
    }


@on_tensorflow
def test_frozen_layers_keep_nothing_for_their_kernels():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, trainable=False, name="frozen")(images)
    model = keras.Model(images, keras.layers.Conv2D(5, 1)(x))
    sizes = measurement.activation_bytes(model, (8, 8), batch_size=1)
    assert sizes == {"frozen": 4 * 6 * 6 * 4}


@on_tensorflow
def test_activation_memory_needs_shapes_that_follow_from_the_images():
    import tensorflow as tf

    class Unknown(keras.layers.Layer):
        def call(self, inputs):
            positive = tf.boolean_mask(inputs, tf.reduce_sum(inputs, axis=-1) > 0)
            return keras.ops.square(positive)

        def compute_output_shape(self, input_shape):
            return (None, input_shape[-1])

    images = keras.Input((4,))
    model = keras.Model(images, Unknown()(keras.layers.Dense(4)(images)))
    with pytest.raises(ValueError, match="Activation memory needs layers whose output"):
        measurement.activation_bytes(model, (), batch_size=2)


@on_tensorflow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_rematerialised_blocks_keep_what_convolutions_take_and_give(policy):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        sizes = {}
        for remat in (False, True):
            model = create_model(TINY, weights=None, remat=remat, classes=10)
            sizes[remat] = measurement.activation_bytes(model, (32, 32), batch_size=2)
    finally:
        keras.config.set_dtype_policy(previous)
    value = 4 if policy == "float32" else 2
    small = 256  # The last norm's statistics; for stochastic depth, a value an image.
    # Outputs of the expansion, depthwise convolution, projection and whole block.
    block2a = 2 * (16 * 16 * 32 + 8 * 8 * 32 + 8 * 8 * 16 + 8 * 8 * 16) * value
    block2b = 2 * (8 * 8 * 64 + 8 * 8 * 64 + 8 * 8 * 16 + 8 * 8 * 16) * value
    assert block2a <= sizes[True]["block2a"] <= block2a + small
    assert block2b <= sizes[True]["block2b"] <= block2b + small
    assert sizes[False]["block2a"] > 2 * block2a
    assert sizes[False]["block2b"] > 2 * block2b
    assert sum(sizes[True].values()) < sum(sizes[False].values())


@on_tensorflow
def test_mixed_precision_keeps_about_half():
    totals = []
    for policy in ("float32", "mixed_bfloat16"):
        previous = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            model = create_model(TINY, weights=None)
        finally:
            keras.config.set_dtype_policy(previous)
        totals.append(
            sum(measurement.activation_bytes(model, (32, 32), batch_size=2).values())
        )
    assert 0.4 * totals[0] < totals[1] < 0.65 * totals[0]


def test_a_measured_profile_has_memory_a_stage_and_latency():
    result = profiling.profile(TINY, (32, 48), batch_size=2)
    counted = profiling.profile(TINY, (32, 48), measure=False)
    assert result.num_params == counted.num_params
    model = create_model(TINY, weights=None)
    assert model.count_params() == counted.num_params
    latency = result.latency
    assert 0 < latency.lower_quartile <= latency.median <= latency.upper_quartile
    table = profiling.format_table(result)
    assert "Latency of a batch of 2" in table
    if keras.backend.backend() == "tensorflow":
        sizes = measurement.activation_bytes(model, (32, 48), batch_size=2)
        assert result.activation_bytes == sum(sizes.values())
        assert all(stage.activation_bytes > 0 for stage in result.stages)
        assert "Activations: what a training step keeps" in table
