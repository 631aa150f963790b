"""Run by test_tpu.py in a process of its own: XLA takes the step of every stage.

TPUs run what XLA compiles, for one static shape at a time, in bfloat16 with a float32
classifier. `lower` stops before the machine code, whose making takes minutes on a CPU;
`run` makes it, and compares its losses with those of TensorFlow's own kernels.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.training.learner.building import build_learner
from keras_effnetv2.training.progressive.learning import set_rates
from tests.tiny_experiments import tiny_experiment

# The released optimizer, and no drops, whose random numbers are other ones under XLA.
SETTINGS = (
    "batch_size=8",
    "optimizer.name=rmsprop",
    "optimizer.epsilon=0.001",
    "progressive.dropout_rate=0,0",
    "schedule.name=exponential",
)


def steps(precision, jit_compile):
    """A learner's step for every stage, and a batch for it."""
    experiment = tiny_experiment(*SETTINGS, f"model.precision={precision}")
    keras.utils.set_random_seed(0)
    stages = experiment.stages(80)
    learner = build_learner(experiment, stages, 80)
    random = np.random.default_rng(0)
    for stage in stages:
        size = stage.image_size
        images = tf.constant(random.integers(0, 256, (8, size, size, 3)), tf.uint8)
        labels = tf.one_hot(random.integers(0, 10, 8), 10)
        set_rates(learner.network, stage)
        yield tf.function(learner.train_step, jit_compile=jit_compile), (images, labels)


def lower():
    for step, batch in steps("mixed_bfloat16", jit_compile=True):
        hlo = step.experimental_get_compiler_ir(batch)(stage="hlo")
        size = batch[0].shape[1]
        assert f"u8[8,{size},{size},3]" in hlo
        assert "bf16[8," in hlo and "f32[8,10]" in hlo
        assert "<=" not in hlo, "a dynamic shape"
        print(size, len(hlo))


def run():
    losses = [
        [
            float(step(batch)["loss"][0])
            for step, batch in steps("float32", jit_compile)
            for _ in range(2)
        ]
        for jit_compile in (False, True)
    ]
    print(losses)
    np.testing.assert_allclose(*losses, rtol=1e-3)


{"lower": lower, "run": run}[sys.argv[1]]()
print("passed")
