"""Decides where layers on TensorFlow have custom gradients."""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import keras

_are_stock = contextvars.ContextVar("are_stock", default=False)


@contextlib.contextmanager
def stock_gradients() -> Iterator[None]:
    """Traces layers with TensorFlow's own gradients inside the `with`: for exports.

    Saving custom gradients takes as long as saving the rest of a network; without them,
    the saved graph would have no gradient and warn when loaded. For converters they
    would also add an operation to the graph.
    """
    token = _are_stock.set(True)
    try:
        yield
    finally:
        _are_stock.reset(token)


def has_own_gradients() -> bool:
    """Whether the backend is TensorFlow, outside `stock_gradients`."""
    return keras.backend.backend() == "tensorflow" and not _are_stock.get()


@functools.cache
def has_only_cpus() -> bool:
    """Whether TensorFlow sees only CPUs, where some custom gradients pay.

    Elsewhere whole steps are compiled, or cuDNN is fast where a CPU is not.
    """
    import tensorflow as tf

    return all(x.device_type == "CPU" for x in tf.config.list_logical_devices())
