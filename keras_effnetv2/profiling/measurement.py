"""Measurements on a built model: activation memory of training, latency."""

import collections
import dataclasses
import re
import statistics
import time
from typing import TYPE_CHECKING, Any

from keras_effnetv2.errors import InputError

if TYPE_CHECKING:
    import keras

_NUM_WARM_UPS = 2
_NUM_CALLS = 10

# Operations whose output is their input in another shape, or under another name.
_VIEWS = ("Identity", "IdentityN", "StopGradient", "Reshape", "Squeeze", "ExpandDims")
_NO_ACTIVATIONS = ("ReadVariableOp", "Const", "Shape", "ShapeN")


@dataclasses.dataclass(frozen=True)
class Latency:
    """Seconds of one forward call, over `num_calls` calls after warming up."""

    median: float
    lower_quartile: float
    upper_quartile: float
    num_calls: int


def activation_bytes(
    model: "keras.Model", image_size: tuple[int, int], batch_size: int
) -> dict[str, int] | None:
    """Bytes that the forward pass of a training step keeps for the gradients.

    Exact for the traced graph: the total size of the distinct tensors that the forward
    pass makes and the backward pass consumes, without variables and constants. The loss
    is the mean of the outputs. Memory that kernels need while running is not included,
    nor is what the runtime saves by sharing memory.

    Args:
        model: a model of images `(batch, height, width, channels)`.
        image_size: height and width, pixels.
        batch_size: images per step.

    Returns:
        Name of the layer that made the tensors -> bytes, `""` for tensors not made by a
        layer, such as the images; None on a backend other than TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return None
    shape = (batch_size, *image_size, model.input_shape[-1])
    forward, backward = _trace_training_step(model, shape)
    kept = {}
    for operation in backward:
        for tensor in map(_source, operation.inputs):
            if tensor.op.name in forward and _is_activation(tensor):
                kept[tensor.name] = tensor
    layers = {layer.name for layer in model.layers}
    sizes = collections.Counter()
    for tensor in kept.values():
        sizes[_layer_of(tensor.op.name, layers)] += _num_bytes(tensor)
    return dict(sizes)


def _trace_training_step(
    model: "keras.Model", shape: tuple[int, ...]
) -> tuple[set[str], list[Any]]:
    """Names of the forward pass's operations, and the backward pass's operations."""
    import keras
    import tensorflow as tf

    variables = [variable.value for variable in model.trainable_variables]
    forward: set[str] = set()

    @tf.function
    def step(images: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.cast(model(images, training=True), "float32"))
        # Names do not reveal custom gradients and rematerialisation, but order does.
        operations = tf.compat.v1.get_default_graph().get_operations()
        forward.update(operation.name for operation in operations)
        return tape.gradient(loss, variables)

    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    traced = step.get_concrete_function(tf.TensorSpec(shape, dtype))
    backward: dict[str, Any] = {}
    # Not every traced operation runs: a frozen kernel's gradient is never requested.
    wanted = [tensor.op for tensor in traced.outputs]
    while wanted:
        operation = wanted.pop()
        if operation.name not in forward and operation.name not in backward:
            backward[operation.name] = operation
            wanted.extend(tensor.op for tensor in operation.inputs)
    return forward, list(backward.values())


def _source(tensor: Any) -> Any:
    """The tensor whose memory `tensor` shares."""
    while tensor.op.type in _VIEWS:
        index = tensor.value_index if tensor.op.type == "IdentityN" else 0
        tensor = tensor.op.inputs[index]
    return tensor


def _is_activation(tensor: Any) -> bool:
    """Whether it depends on images: not a constant, nor a variable, cast or not."""
    if tensor.op.type == "Cast":
        return _is_activation(_source(tensor.op.inputs[0]))
    if tensor.op.type == "FusedBatchNormV3" and tensor.value_index == 5:
        return (
            False  # cuDNN's reserve space: of unknown size, and empty on other devices.
        )
    return tensor.dtype.name != "resource" and tensor.op.type not in _NO_ACTIVATIONS


def _num_bytes(tensor: Any) -> int:
    num_elements = tensor.shape.num_elements()
    if num_elements is None:
        raise InputError(
            "Activation memory needs layers whose output shapes follow from the shape "
            f"of the images. Received: {tensor.op.name} of shape {tensor.shape}."
        )
    return num_elements * tensor.dtype.size


def _layer_of(operation_name: str, layers: set[str]) -> str:
    """The layer among `layers` whose call made an operation; scopes may end in _1."""
    for scope in operation_name.split("/"):
        for name in (scope, re.sub(r"_\d+$", "", scope)):
            if name in layers:
                return name
    return ""


def latency(
    model: "keras.Model", image_size: tuple[int, int], batch_size: int
) -> Latency:
    """Times forward calls of the compiled model on random pixels, host to host.

    Args:
        model: a model of images `(batch, height, width, channels)`.
        image_size: height and width, pixels.
        batch_size: images per call.
    """
    import numpy as np

    shape = (batch_size, *image_size, model.input_shape[-1])
    images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    for _ in range(_NUM_WARM_UPS):
        model.predict_on_batch(images)
    seconds = []
    for _ in range(_NUM_CALLS):
        start = time.perf_counter()
        model.predict_on_batch(images)
        seconds.append(time.perf_counter() - start)
    lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    return Latency(median, lower, upper, _NUM_CALLS)
