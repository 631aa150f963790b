"""When layers have gradients of their own on TensorFlow, and where they pay."""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import keras

_are_stock = contextvars.ContextVar("are_stock", default=False)


@contextlib.contextmanager
def stock_gradients() -> Iterator[None]:
    """Within it, layers are traced with TensorFlow's gradients: for exports.

    To save gradients of one's own takes as long as to save the rest of a network; saved
    without them, the graph would have no gradient, and warn when loaded. To converters
    their place in the graph is one more operation.
    """
    token = _are_stock.set(True)
    try:
        yield
    finally:
        _are_stock.reset(token)


def has_own_gradients() -> bool:
    """On TensorFlow, outside of `stock_gradients`."""
    return keras.backend.backend() == "tensorflow" and not _are_stock.get()


@functools.cache
def has_only_cpus() -> bool:
    """Elsewhere whole steps are compiled, or cuDNN is fast at what a CPU is not."""
    import tensorflow as tf

    return all(x.device_type == "CPU" for x in tf.config.list_logical_devices())
