"""Measures how long a training step takes here, with real network and images."""

import gc
import pathlib
import time
from typing import Any

import keras

from keras_effnetv2 import private_apis
from keras_effnetv2.finetuning.plan import Pace
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.temporary import temporary_learner
from keras_effnetv2.training.progressive import feeding

_NUM_STEPS = 3  # Timed steps; the one before them traces.
_CPU_INFO = pathlib.Path("/proc/cpuinfo")
# Processors' names of bfloat16 instructions.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def measure_pace(experiment: Experiment, feed: feeding.Feed, devices: Devices) -> Pace:
    """Trains a temporary network for a few steps.

    Args:
        experiment: the experiment, whose last stage is measured.
        feed: the training images.
        devices: devices to train on.
    """
    learner, segment = temporary_learner(
        experiment,
        feed,
        devices,
        stage=-1,
        num_steps=_NUM_STEPS + 1,
        weights=None,  # As fast as any.
    )
    seconds = {}
    for is_head in (True, False):
        learner.train_head_only(is_head)
        data = feeding.training_data(feed, experiment, segment, devices)
        clock = _Clock()
        with private_apis.traced_for_a_while():
            learner.fit(
                data,
                steps_per_epoch=_NUM_STEPS + 1,
                shuffle=False,
                verbose=0,
                callbacks=[clock],
            )
        seconds[is_head] = clock
    del learner
    gc.collect()
    step, head_step = seconds[False].step, seconds[True].step
    tracing = sum(max(0.0, x.first - x.step) for x in seconds.values())
    return Pace(step, head_step, tracing, experiment.model.precision)


class _Clock(keras.callbacks.Callback):
    """Times the first step, and the mean of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.step = 0.0
        self._start = self._first_end = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not batch:
            float(keras.ops.convert_to_numpy(self.model.measures[0].result()))
            self._first_end = time.perf_counter()
            self.first = self._first_end - self._start

    def on_train_end(self, logs: Any = None) -> None:
        self.step = (time.perf_counter() - self._first_end) / _NUM_STEPS


def has_bfloat16(kind: str) -> bool:
    """Whether the device has instructions for bfloat16.

    Args:
        kind: kind of device, "CPU", "GPU" or "TPU".
    """
    if kind == "CPU":
        return bool(_cpu_flags() & _BFLOAT16_FLAGS)
    if kind == "GPU":
        import tensorflow as tf

        gpus = tf.config.get_visible_devices("GPU")
        details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
        return details.get("compute_capability", (0, 0)) >= (8, 0)
    return True


def _cpu_flags() -> set[str]:
    try:
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        return set()
    flags = (line for line in lines if line.lower().startswith(("flags", "features")))
    return {*next(flags, "").partition(":")[2].split()}
