"""Run by test_replicas.py in a process of its own, with two logical devices."""

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2 import create_model
from keras_effnetv2.architecture import BlockSpec, Variant

SMALL = Variant(
    "small",
    (
        BlockSpec("fused_mbconv", 3, 2, 4, 8, 2),
        BlockSpec("mbconv", 3, 1, 4, 8, 2, 0.25),
    ),
    stem_filters=8,
    train_size=32,
    eval_size=32,
    dropout_rate=0.0,
    drop_path_rate=0.0,
    top_filters=16,
)


def trained(strategy, **options):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = create_model(SMALL, classes=2, **options)
        model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    labels = np.arange(8) % 2
    model.fit(images, labels, batch_size=4, shuffle=False, verbose=0)
    return model.get_weights()


devices = tf.config.list_physical_devices("CPU")[:1]
tf.config.set_logical_device_configuration(
    devices[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
expected = trained(tf.distribute.get_strategy())
for remat in (False, True):
    found = trained(both, bn_synchronized=True, remat=remat)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
separate = trained(both)
assert all(np.isfinite(a).all() for a in separate)
assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(expected, separate, strict=True))
print("passed")
