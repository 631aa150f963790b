"""A process that runs a Keras network: ours, keras.applications', tf_keras' or kimm's.

    python -m benchmarks.processes.keras_side KIND PRECISION SOURCE CONSTRUCTOR REMAT
        SIZExBATCH ...

KIND is `train`, `infer`, `memory`, `matmul` or one of `CALLS`, PRECISION a dtype policy
of Keras. All sides get the same step: softmax cross-entropy of 1,000 logits, and
RMSProp as in the paper; ours is the one of its recipes.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.workers import Run, answer, median_seconds, warm_up

# Tan and Le 2021, Section 5; a learning rate so small that no loss explodes.
RMSPROP = {"learning_rate": 1e-5, "rho": 0.9, "momentum": 0.9, "epsilon": 1e-3}
_MATRIX_SIDE = 2048  # 17 GFLOP, so that starting a call does not matter.


def build(source: str, constructor: str, image_size: int, remat: bool = False) -> Any:
    """A network with random weights that gives 1,000 logits."""
    options = {"remat": True} if remat else {}
    return getattr(importlib.import_module(source), constructor)(
        weights=None,
        input_shape=(image_size, image_size, 3),
        classifier_activation=None,
        **options,
    )


def keras_of(source: str) -> Any:
    """The Keras that `source` is built on: `keras` or `tf_keras`."""
    is_old = source.startswith("tf_keras")
    return importlib.import_module("tf_keras" if is_old else "keras")


def rmsprop_of(source: str) -> type:
    """The optimizer that its users train with."""
    if source == "keras_effnetv2":
        from keras_effnetv2.optimizers import RMSpropTF

        return RMSpropTF
    return keras_of(source).optimizers.RMSprop


def images(image_size: int, batch_size: int) -> tf.Tensor:
    """float32 pixels 0..255, `(batch_size, image_size, image_size, 3)`."""
    shape = (batch_size, image_size, image_size, 3)
    return tf.random.stateless_uniform(shape, (0, 0), maxval=255.0)


def training_step(source: str, network: Any) -> Callable[[Any, Any], Any]:
    """Forward, backward and update as a function from a batch to the loss."""
    keras = keras_of(source)
    optimizer = rmsprop_of(source)(**RMSPROP)
    optimizer.build(network.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(batch: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, network(batch, training=True))
        variables = network.trainable_variables
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return tf.function(step)


def training_run(source: str, network: Any, image_size: int, batch_size: int) -> Run:
    """A step on a batch in memory, in its own graph."""
    step = training_step(source, network)
    batch = images(image_size, batch_size)
    labels = tf.range(batch_size) % 1000
    return lambda: step(batch, labels).numpy()


def inference_run(network: Any, image_size: int, batch_size: int) -> Run:
    """`tf.function` of the network, from NumPy to NumPy."""
    call = tf.function(lambda batch: network(batch, training=False))
    batch = images(image_size, batch_size).numpy()
    return lambda: call(tf.constant(batch)).numpy()


def _compiled_run(network: Any, batch: Any) -> Run:
    from keras_effnetv2 import compile_for_inference

    fast = compile_for_inference(network)
    return lambda: fast(batch)


# Ways to call a network: kind -> run of a network and NumPy images.
CALLS: dict[str, Callable[[Any, Any], Run]] = {
    "model(x)": lambda network, batch: lambda: network(batch).numpy(),
    "predict": lambda network, batch: lambda: network.predict(batch, verbose=0),
    "compile_for_inference": _compiled_run,
}


def matrix_multiplications(dtype: str) -> float:
    """GFLOP/s of matrix multiplication."""
    shape = (_MATRIX_SIDE, _MATRIX_SIDE)
    factors = [tf.cast(tf.random.normal(shape), dtype) for _ in range(2)]
    seconds = median_seconds(lambda: tf.matmul(*factors).numpy(), 3)
    return 2e-9 * _MATRIX_SIDE**3 / seconds


def allocator_peak(run: Run) -> int:
    """Bytes that a run adds at its peak, by TensorFlow's allocator; 0: unknown."""
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    tf.config.experimental.reset_memory_stats("CPU:0")
    run()
    return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before


def make_runs(kind: str, source: str, name: str, remat: bool, works: list) -> list[Run]:
    """A run for each `(image_size, batch_size)`; works of one size share a network."""
    network = functools.cache(lambda size: build(source, name, size, remat))
    if kind == "infer":
        return [inference_run(network(size), size, batch) for size, batch in works]
    if kind in CALLS:
        make_run = CALLS[kind]
        return [make_run(network(x), images(x, num).numpy()) for x, num in works]
    return [training_run(source, network(size), size, batch) for size, batch in works]


def prepare(
    kind: str,
    precision: str,
    source: str = "",
    name: str = "",
    remat: str = "0",
    *sizes: str,
) -> tuple[dict, dict[str, Callable]]:
    """The process's description of itself, and the functions it answers with."""
    if kind == "matmul":
        dtype = precision.removeprefix("mixed_")
        return {}, {"gflops": functools.partial(matrix_multiplications, dtype)}
    keras_of(source).mixed_precision.set_global_policy(precision)
    works = [tuple(map(int, words.split("x"))) for words in sizes]
    runs = make_runs(kind, source, name, remat == "1", works)
    return warm_up(kind, runs), {
        "seconds": lambda place, *least: median_seconds(runs[place], *least),
        "peak_bytes": lambda place: allocator_peak(runs[place]),
    }


if __name__ == "__main__":
    answer(functools.partial(prepare, *sys.argv[1:]))
