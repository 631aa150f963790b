"""Run by test_replicas.py in a process of its own: 20 steps on some logical devices.

python -m tests.training.replica_training NUM_DEVICES FIXES RESULT.json

FIXES is `fixed`, or `stock` for what Keras does without keras_effnetv2's fixes.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.training.devices import replicas
from keras_effnetv2.training.devices.strategies import open_devices
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.learner.building import build_learner

STEPS = 20
BATCH = 16

# Small steps and whole batches at once: what is left to differ is rounding, which large
# steps would multiply.
SETTINGS = (
    "batch_size=16",
    "progressive.dropout_rate=0,0",
    "schedule.name=constant",
    "schedule.warmup_epochs=0",
    "model.bn_group_size=0",
)
SGD = ("optimizer.name=sgd", "optimizer.learning_rate=0.02")
# Each changes what the replicas have to agree on.
CASES = {
    "rmsprop": (
        "optimizer.name=rmsprop",
        "optimizer.epsilon=0.001",
        "optimizer.learning_rate=0.00002",
    ),
    "clipped": (*SGD, "optimizer.momentum=0", "optimizer.global_clipnorm=0.5"),
}
# Batch norm would see pieces of the batch, and those of other images on each device.
# The classifier alone takes large steps, which show a gradient that is wrong.
CASES["whole"] = (
    *CASES["clipped"],
    "model.frozen=stem*,block*,top*",
    "optimizer.learning_rate=1",
)
CASES["in pieces"] = (*CASES["whole"], "optimizer.accumulation_steps=2")
CASES["five at once"] = (*CASES["clipped"], "loop.steps_per_execution=5")


def losses_of(devices, assignments):
    experiment = override(get_experiment("digits-smoke"), SETTINGS + assignments)
    keras.utils.set_random_seed(0)
    with devices.scope():
        num_images = BATCH * STEPS
        stages = experiment.stages(num_images)
        learner = build_learner(experiment, stages, num_images)
        learner.steps_per_execution = experiment.loop.steps_per_execution
    losses = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(float(np.mean(logs["loss"])))

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH * STEPS, 16, 16, 3)).astype("uint8")
    labels = np.eye(10, dtype="float32")[random.integers(0, 10, BATCH * STEPS)]
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.batch(BATCH, drop_remainder=True)
    learner.fit(data, callbacks=[Watch()], shuffle=False, verbose=0)
    measured = learner.measured()
    weights = np.ones(11, "float32")
    held_out = (images[:11].astype("float32"), labels[:11], weights)
    padded = [np.concatenate([x, np.zeros_like(x[:5])]) for x in held_out]
    data = tf.data.Dataset.from_tensor_slices(tuple(padded)).batch(BATCH)
    learner.evaluate(data, verbose=0)
    counts = keras.ops.convert_to_numpy(learner.metrics_variables[1])
    return {
        "losses": losses,
        "measured": measured,
        "evaluated": learner.measured(),
        "num_evaluated": float(counts),
        "replicas_agree": _replicas_agree(learner),
    }


def _replicas_agree(learner):
    """Whether every variable has the same value on all devices."""
    for variable in learner.variables + learner.optimizer.variables:
        values = getattr(variable.value, "values", [variable.value])
        if any(np.any(x.numpy() != values[0].numpy()) for x in values):
            return False
    return True


def draws_of(devices):
    """Dropout masks of every replica."""
    with devices.scope():
        layer = keras.layers.Dropout(0.5, seed=1)

    @tf.function
    def draw():
        return devices.strategy.run(lambda: layer(tf.ones(64), training=True))

    values = devices.strategy.experimental_local_results(draw())
    return [x.numpy().tolist() for x in values]


def weights_after_an_infinite_gradient(devices):
    """Of every replica, after a scaled step that is infinite on the last one only."""
    with devices.scope():
        weight = keras.Variable(np.ones(2, "float32"))
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
        replicas.sum_before_clipping(optimizer)
        optimizer.build([weight])

    def step():
        context = tf.distribute.get_replica_context()
        is_last = context.replica_id_in_sync_group == context.num_replicas_in_sync - 1
        gradient = tf.where(is_last, [np.inf, 1.0], [1.0, 1.0])
        optimizer.apply([gradient], [weight])

    tf.function(lambda: devices.strategy.run(step))()
    return [x.numpy().tolist() for x in weight.value.values]


def main():
    num_devices, fixes, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * num_devices,
    )
    if fixes == "stock":
        replicas._mix_in = lambda optimizer, mixin: None
    devices = open_devices("mirrored" if num_devices > 1 else "cpu")
    assert devices.num_replicas == num_devices
    if fixes == "fixed":
        replicas.use_replica_seeds()
    names = ["clipped"] if fixes == "stock" else ["rmsprop", "clipped"]
    if num_devices == 1:
        names += ["whole", "five at once"]
    elif fixes == "fixed":
        names.append("in pieces")
    cases = {name: CASES[name] for name in names}
    result = {name: losses_of(devices, settings) for name, settings in cases.items()}
    if num_devices > 1:
        result["draws"] = draws_of(devices)
        result["infinite"] = weights_after_an_infinite_gradient(devices)
    with open(path, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
