"""Training steps to time, on random pixels in memory."""

import dataclasses
import itertools
import math
import os
import pathlib
import platform
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_effnetv2.backends import require_backend
from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.training.experiments.checked import Checked, Count
from keras_effnetv2.training.experiments.configuration import (
    Experiment,
    Model,
    Optimizer,
    Precision,
)
from keras_effnetv2.training.experiments.image_settings import Data
from keras_effnetv2.training.learner.building import build_learner, compile_learner

_CPU_INFO = pathlib.Path("/proc/cpuinfo")


@dataclasses.dataclass(frozen=True)
class Workload(Checked):
    """What a training step depends on, besides the network.

    Attributes:
        image_size: side of the images, pixels.
        batch_size: images per step.
        precision: precision of the network.
        classes: width of the classifier.
        optimizer: optimizer settings; moving average and accumulation take time too.
    """

    image_size: Count
    batch_size: Count
    precision: Precision = "float32"
    classes: Count = 10
    optimizer: Optimizer = Optimizer()

    def __post_init__(self) -> None:
        super().__post_init__()
        pieces = self.optimizer.accumulation_steps
        if self.batch_size % pieces:
            raise InputError(
                "batch_size must be divisible into "
                f"optimizer.accumulation_steps={pieces} pieces. Received: "
                f"batch_size={self.batch_size}."
            )

    def check(self, variant: Variant) -> None:
        """Refuses steps that could not be timed.

        Raises:
            ValueError: a backend other than TensorFlow, or images smaller than the
                product of all strides of the network.
        """
        require_backend("Step times are measured on", "tensorflow")
        strides = 2 * math.prod(spec.strides for spec in variant.blocks)
        if self.image_size < strides:
            raise InputError(
                f"The strides of {variant.name} multiply to {strides}. Received: "
                f"image_size={self.image_size}. Choose at least {strides} pixels, or a "
                "backbone with fewer strides."
            )

    def experiment(self, variant: str | Variant) -> Experiment:
        """An experiment that trains a variant like this; its data does not matter."""
        return Experiment(
            "step-time",
            Data("digits", self.classes),
            Model(variant, eval_size=self.image_size, precision=self.precision),
            optimizer=self.optimizer,
            batch_size=self.batch_size,
        )


class TrainingStep:
    """Forward, backward and update on one batch; a call waits for its end.

    Args:
        learner: compiled.
        images: inputs of its network, `(batch, ...)`.
        labels: float32 `(batch, classes)`.
    """

    def __init__(self, learner: keras.Model, images: Any, labels: Any) -> None:
        learner.make_train_function()
        self.learner = learner
        self._batches = itertools.repeat((images, labels))

    def __call__(self) -> float:
        """The loss of the step; when it is available, the device is done."""
        return float(np.asarray(self.learner.train_function(self._batches)["loss"])[0])


def network_step(variant: Variant, workload: Workload) -> TrainingStep:
    """The step of a network, built as in training.

    Raises:
        ValueError: a backend other than TensorFlow, or images that are too small.
    """
    workload.check(variant)
    experiment = workload.experiment(dataclasses.replace(variant, name="candidate"))
    num_images = workload.batch_size
    learner = build_learner(experiment, experiment.stages(num_images), num_images)
    rng = np.random.default_rng(0)
    side = workload.image_size
    pixels = rng.integers(0, 256, (workload.batch_size, side, side, 3), dtype="uint8")
    return TrainingStep(
        learner,
        keras.ops.convert_to_tensor(pixels),
        _labels(workload.batch_size, workload.classes),
    )


def layer_step(
    layers: Callable[[], Sequence[keras.layers.Layer]],
    input_shape: tuple[int, int, int],
    workload: Workload,
) -> TrainingStep:
    """The step of a few layers, as in the middle of a network.

    A trainable layer precedes them, so that the gradient of their input is computed
    too; their output is pooled to scores.

    Args:
        layers: makes new layers, in order; without any, it is the step of the
            surroundings.
        input_shape: `(height, width, channels)` of their input.
        workload: workload of the network.
    """

    def build() -> keras.Model:
        inputs = keras.Input(input_shape)
        x = _Shift(dtype=workload.precision)(inputs)
        for layer in layers():
            x = layer(x)
        scores = keras.layers.GlobalAveragePooling2D(
            data_format="channels_last", dtype="float32"
        )(x)
        return keras.Model(inputs, scores)

    require_backend("Step times are measured on", "tensorflow")
    experiment = workload.experiment("efficientnetv2-b0")  # Any: it is not built.
    num_images = workload.batch_size
    network = build()
    learner = compile_learner(
        network,
        build,
        experiment,
        experiment.stages(num_images),
        num_images,
        depths=[0] * len(network.trainable_variables),
    )
    shape = (workload.batch_size, *input_shape)
    maps = np.random.default_rng(0).normal(size=shape).astype("float32")
    return TrainingStep(
        learner,
        keras.ops.convert_to_tensor(maps),
        _labels(workload.batch_size, learner.network.output_shape[-1]),
    )


class _Shift(keras.layers.Layer):
    """Adds a trainable number: the cheapest layer that needs a gradient."""

    def build(self, input_shape: tuple) -> None:
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")

    def call(self, inputs: Any) -> Any:
        return inputs + keras.ops.cast(self.shift, inputs.dtype)


def _labels(batch_size: int, classes: int) -> Any:
    """One-hot, float32 `(batch_size, classes)`."""
    labels = np.eye(classes, dtype="float32")[np.arange(batch_size) % classes]
    return keras.ops.convert_to_tensor(labels)


def device_name() -> str:
    """The device in words: the GPUs, or the processor and its cores."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"{len(gpus)} x {details.get('device_name', 'GPU')}"
    return f"{_processor()}, {_num_cores()} cores"


def _processor() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _num_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
