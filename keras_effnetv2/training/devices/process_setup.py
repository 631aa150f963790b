"""The state of the whole process in which something is trained."""

import keras

from keras_effnetv2.training.devices import replicas
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment


def set_up_process(experiment: Experiment, devices: Devices) -> None:
    """Sets seeds and determinism, before anything is built.

    Args:
        experiment: the experiment that is trained.
        devices: devices to train on.
    """
    keras.utils.set_random_seed(experiment.seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if experiment.loop.deterministic:
            tf.config.experimental.enable_op_determinism()
        if devices.num_replicas > 1:
            replicas.use_replica_seeds()
            # Otherwise it logs every all-reduce of every traced function.
            tf.get_logger().setLevel("WARNING")
