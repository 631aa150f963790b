"""A process that compiles a network's training step for TPUs, on Keras's JAX backend.

    python -m accelerators.compiling SOURCE CONSTRUCTOR DEVICE IMAGE_SIZE BATCH_SIZE

Its environment is that of `keras_effnetv2.planning.process`. The step is what Keras's
`fit` runs: RMSprop as the paper has it, cross-entropy of 1,000 logits, bfloat16 with
float32 weights.
"""

import functools
import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from benchmarks.workers import answer

from accelerators.movers import find_movers
from keras_effnetv2 import create_model
from keras_effnetv2.planning.chips import find_slice
from keras_effnetv2.planning.step_compiling import lower_step, open_mesh

_CLASSES = 1000
_MOST_MOVERS = 100
# Tan and Le 2021, Section 5.
_RMSPROP = {"learning_rate": 1e-5, "rho": 0.9, "momentum": 0.9, "epsilon": 1e-3}


def build(source: str, constructor: str, image_size: int) -> keras.Model:
    """A network of random weights, compiled to be trained on uint8 images."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    if constructor.endswith(".json"):
        construct = functools.partial(create_model, constructor)
    else:
        construct = getattr(importlib.import_module(source), constructor)
    model = construct(
        weights=None,
        input_shape=(image_size, image_size, 3),
        classes=_CLASSES,
        classifier_activation="linear",
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.RMSprop(**_RMSPROP), loss)
    model.optimizer.build(model.trainable_variables)
    return model


def compile_network(
    source: str, constructor: str, device: str, image_size: int, batch_size: int
) -> dict[str, Any]:
    """The compiler's figures of a device in a step, seconds, and what moves the bytes.

    Args:
        source: module with the constructor.
        constructor: of the network, or a variant's file.
        device: a slice of TPU chips, such as "v5e:1x1".
        image_size: pixels a side.
        batch_size: images a step, over all chips.
    """
    start = time.perf_counter()
    model = build(source, constructor, image_size)
    built = time.perf_counter()
    mesh = open_mesh(find_slice(device))
    lowered = lower_step(model, mesh, image_size, batch_size, _CLASSES)
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
    num_images = batch_size / np.size(mesh.devices)
    return {
        "build_seconds": built - start,
        "trace_seconds": traced - built,
        "compile_seconds": done - traced,
        "flops": costs["flops"] / num_images,
        "moved_bytes": costs["bytes accessed"] / num_images,
        "temporary_bytes": memory.temp_size_in_bytes / num_images,
        "argument_bytes": memory.argument_size_in_bytes,
        "movers": [
            {
                "origin": mover.origin,
                "read_bytes": mover.read_bytes / num_images,
                "written_bytes": mover.written_bytes / num_images,
            }
            for mover in find_movers(compiled.as_text())[:_MOST_MOVERS]
        ],
    }


def prepare(*words: str) -> tuple[dict, dict[str, Callable]]:
    """All that there is to say; nothing can be asked."""
    source, constructor, device, *sizes = words
    return compile_network(source, constructor, device, *map(int, sizes)), {}


if __name__ == "__main__":
    answer(functools.partial(prepare, *sys.argv[1:]))
