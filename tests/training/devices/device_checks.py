"""Run by test_strategies.py in processes of their own: opens devices, sums over them.

python device_checks.py STRATEGY LOGICAL_CPUS
"""

import sys

import keras
import numpy as np

from keras_effnetv2.training.devices.strategies import open_devices


def tensorflow_sum(strategy, shape=()):
    """1 of each replica."""
    import tensorflow as tf

    def add():
        return tf.distribute.get_replica_context().all_reduce("sum", tf.ones(shape))

    return strategy.experimental_local_results(strategy.run(tf.function(add)))[0]


def jax_sum():
    """1 of each device."""
    import jax

    layout = keras.distribution.distribution().get_data_layout((devices.num_replicas,))
    mine = np.ones(devices.num_replicas // devices.num_workers)
    return jax.make_array_from_process_local_data(layout.backend_layout, mine).sum()


strategy, num_cpus = sys.argv[1], int(sys.argv[2])
is_jax = keras.backend.backend() == "jax"
if num_cpus > 1:
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * num_cpus,
    )
if num_cpus > 1 and strategy == "mirrored":  # A user's, in the same process.
    tensorflow_sum(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), (3,))
devices = open_devices(strategy)
assert open_devices(strategy) == devices
assert devices.is_chief == (devices.worker == 0)
total = jax_sum() if is_jax else tensorflow_sum(devices.strategy)
assert float(total) == devices.num_replicas
with devices.scope():
    keras.layers.Dense(1).build((None, 1))
print(devices.describe())
