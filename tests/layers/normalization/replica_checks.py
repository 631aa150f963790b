"""Run by test_batch_norm_replicas.py in a process with four logical devices.

python -m tests.layers.normalization.replica_checks layers|training|everything
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2 import create_model
from keras_effnetv2.layers import BatchNorm
from tests.tiny_networks import NANO

REPLICAS, CHANNELS, MOMENTUM = 4, 3, 0.8
EVEN = (2, 2, 2, 2)


def parts(sizes=EVEN):
    """Images of each replica, whose means and variances differ."""
    random = np.random.default_rng(0)
    return [
        random.normal(3 + i, 1 + i, (size, 5, 7, CHANNELS)).astype("float32")
        for i, size in enumerate(sizes)
    ]


def make_layer(kind=BatchNorm, mean=0.5, **options):
    layer = kind(momentum=MOMENTUM, **options)
    layer.build((None, None, None, CHANNELS))
    layer.gamma.assign(np.linspace(0.5, 1.5, CHANNELS))
    layer.moving_mean.assign(np.full(CHANNELS, mean))
    return layer


def run(layer, images):
    """Outputs, and gradients of the images, gamma and beta."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = tf.cast(layer(images, training=True), "float32")
        loss = tf.reduce_sum(outputs * tf.sin(tf.cast(images, "float32") * 3))
    weights = [w.value for w in layer.trainable_weights]
    return outputs, *tape.gradient(loss, [images, *weights])


def replicated(images, kind=BatchNorm, **options):
    """What the replicas have for their `images`, and the moving statistics after."""
    with strategy.scope():
        layer = make_layer(kind, **options)
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(images[context.replica_id_in_sync_group])
    )
    step = tf.function(strategy.run, autograph=False)
    locals_ = strategy.experimental_local_results
    outputs, gradient, gamma, beta = map(locals_, step(run, args=(layer, values)))
    moving = [locals_(v.value) for v in (layer.moving_mean, layer.moving_variance)]
    if kind is BatchNorm:
        for on_replicas in moving:
            for value in on_replicas:
                np.testing.assert_array_equal(value, on_replicas[0])
    found = np.concatenate(outputs), np.concatenate(gradient), sum(gamma), sum(beta)
    return *found, *(x[0].numpy() for x in moving)


def expected_in_groups(images, size, **options):
    """As `replicated`: each group on one replica, and the mean of its statistics."""
    groups = [np.concatenate(images[i : i + size]) for i in range(0, REPLICAS, size)]
    groups = [group for group in groups if len(group)]
    found = [run(make_layer(**options), tf.constant(group)) for group in groups]
    outputs, gradient, gamma, beta = zip(*found, strict=True)
    weights = [len(group) for group in groups]
    mean = np.average([x.mean((0, 1, 2)) for x in groups], axis=0, weights=weights)
    variance = np.average([x.var((0, 1, 2)) for x in groups], axis=0, weights=weights)
    before = make_layer(**options)
    moving = (
        np.array(old) * MOMENTUM + new * (1 - MOMENTUM)
        for old, new in ((before.moving_mean, mean), (before.moving_variance, variance))
    )
    found = np.concatenate(outputs), np.concatenate(gradient), sum(gamma), sum(beta)
    return *found, *moving


def check(name, found, expected, tolerance=1e-5):
    """Compares relative to each array's largest value."""
    differences = [
        np.abs(np.float64(a) - b).max() / np.abs(b).max()
        for a, b in zip(found, expected, strict=True)
    ]
    print(f"{name}:", *(f"{x:.1e}" for x in differences), file=sys.stderr)
    assert max(differences) < tolerance, name


# Of `synchronized`, and the replicas of a group that follow from it.
GROUPS = ((True, 4), (8, 4), (2, 2), (1, 1), (False, 1))
ALL_SIZES = (EVEN, (3, 2, 2, 1), (3, 1, 2, 0))


def check_groups(sizes, groups):
    """Outputs, gradients and moving statistics of every kind of group."""
    images = parts(sizes)
    for synchronized, size in groups:
        found = replicated(images, synchronized=synchronized)
        expected = expected_in_groups(images, size)
        check(f"synchronized={synchronized} of {sizes}", found, expected)


def check_pair_in_numpy():
    images = parts()
    pair = np.concatenate(images[2:]).astype("float64")
    scale = np.linspace(0.5, 1.5, CHANNELS) / np.sqrt(pair.var((0, 1, 2)) + 1e-3)
    outputs, *_ = replicated(images, synchronized=2)
    check("pair", [outputs[4:]], [(pair - pair.mean((0, 1, 2))) * scale])


def check_without_kernel():
    for synchronized, size in ((2, 2), (False, 1)):
        found = replicated(parts(), synchronized=synchronized, epsilon=1e-6)
        expected = expected_in_groups(parts(), size, epsilon=1e-6)
        check(f"no kernel, synchronized={synchronized}", found, expected)


def check_half_precision():
    images = [x.astype("float16") for x in parts()]
    found = replicated(images, synchronized=True, dtype="mixed_float16")
    full = [np.float32(x) for x in images]
    check("float16", found, expected_in_groups(full, REPLICAS), 2e-3)


def check_like_keras():
    images = parts((3, 2, 2, 1))
    stock = replicated(images, keras.layers.BatchNormalization, synchronized=True)
    check("Keras", replicated(images, synchronized=True), stock)


def check_small_variance_of_large_mean():
    """Where Keras's own synchronized batch norm has lost all digits."""
    images = [1000 + x / 100 for x in parts()]
    expected = expected_in_groups([x.astype("float64") for x in images], REPLICAS)
    stock = keras.layers.BatchNormalization
    for name, kind in (("ours", BatchNorm), ("Keras", stock)):
        found = replicated(images, kind, mean=1000.0, synchronized=True)
        error = np.abs(found[0] - expected[0]).max()
        print(f"{name} at a large mean: {error:.1e}", file=sys.stderr)
        # Float32 rounds values of 1000 to 6e-5, which deviations of 0.01 make 0.006.
        assert (error < 0.1) == (kind is BatchNorm)


def check_indivisible():
    try:
        replicated(parts(), synchronized=3)
    except ValueError as error:
        assert "4 replicas do not divide into groups of 3" in str(error)
    else:
        raise AssertionError("groups of 3 in 4 replicas")


def trained(strategy, **options):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = create_model(
            NANO, classes=2, drop_path_rate=0, dropout_rate=0, **options
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).uniform(0, 255, (16, 32, 32, 3))
    model.fit(images, np.arange(16) % 2, batch_size=8, shuffle=False, verbose=0)
    return model.get_weights()


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def check_layers():
    for sizes in (EVEN, (3, 1, 2, 0)):
        check_groups(sizes, ((True, 4), (2, 2)))
    check_without_kernel()
    check_half_precision()
    check_small_variance_of_large_mean()
    check_indivisible()


def check_training():
    expected = trained(tf.distribute.get_strategy())
    assert_equal(trained(strategy, bn_synchronized=True, remat=True), expected)


def check_everything():
    for sizes in ALL_SIZES:
        check_groups(sizes, GROUPS)
    check_pair_in_numpy()
    check_like_keras()
    found = trained(strategy, bn_synchronized=2)
    assert_equal(trained(strategy, bn_synchronized=2, remat=True), found)
    expected = trained(tf.distribute.get_strategy())
    differences = [np.abs(a - b).max() for a, b in zip(found, expected, strict=True)]
    assert max(differences) > 1e-3


devices = tf.config.list_physical_devices("CPU")[:1]
tf.config.set_logical_device_configuration(
    devices[0], [tf.config.LogicalDeviceConfiguration()] * REPLICAS
)
strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(REPLICAS)])
CHECKS = {
    "layers": check_layers,
    "training": check_training,
    "everything": check_everything,
}
CHECKS[sys.argv[1]]()
print("passed")
