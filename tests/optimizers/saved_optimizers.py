"""Loads the models of a folder and says what they and their optimizers do, as JSON.

In a process of its own, which imports nothing of the package but the package.
"""

import importlib
import json
import pathlib
import pkgutil
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_effnetv2


@keras.saving.register_keras_serializable("users")
class Halved(keras.optimizers.SGD):
    """A user's own optimizer."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate / 2)


def stepped(optimizer):
    """Two weights and all of the optimizer's after two steps."""
    weights = [keras.Variable(np.ones(2, "float32")) for _ in range(2)]
    optimizer.build(weights)
    for gradient in np.eye(2, dtype="float32"):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)] * 2, weights)
    return [np.array(x).tolist() for x in (*weights, *optimizer.variables)]


def stepped_on_replicas(strategy, path):
    """A weight after a step with the gradients (2, 0) and (0, 2) of two replicas."""
    with strategy.scope():
        optimizer = renewed(keras.models.load_model(path).optimizer)
        weight = keras.Variable(np.ones(2, "float32"))
        optimizer.build([weight])

    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        gradient = optimizer.scale_loss(2 * tf.one_hot(replica, 2))
        optimizer.apply([gradient], [weight])

    tf.function(lambda: strategy.run(step))()
    return [x.numpy().tolist() for x in weight.value.values]


def renewed(optimizer):
    return type(optimizer).from_config(optimizer.get_config())


def classes_of_modules():
    """Names that importing every module adds to those of the import of the package."""
    kinds = keras.saving.get_custom_objects()
    before = set(kinds)
    for module in pkgutil.walk_packages(keras_effnetv2.__path__, "keras_effnetv2."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert sum(name.startswith("keras_effnetv2>") for name in before) > 60
    absent = [x.key for x in kinds.values() if type(x).__name__ == "_Unimported"]
    late = {name for name in kinds if name.startswith("keras_effnetv2>")} - before
    return {"registered late": sorted(late), "registered and never found": absent}


def main():
    device = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(device, [half, half])
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    folder = pathlib.Path(sys.argv[1])
    folded = keras.models.load_model(folder / "folded.keras")
    images = np.load(folder / "images.npy")
    found = {"folded": folded.predict(images, verbose=0).tolist()}
    for path in folder.glob("*-*.keras"):
        optimizer = keras.models.load_model(path).optimizer
        found[path.stem] = {
            "kind": type(optimizer).__name__,
            "variables": [np.array(x).tolist() for x in optimizer.variables],
            "stepped": stepped(renewed(optimizer)),
        }
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if inner.clipnorm:
            found[path.stem]["on replicas"] = stepped_on_replicas(strategy, path)
    print(json.dumps(found | classes_of_modules()))


if __name__ == "__main__":
    main()
