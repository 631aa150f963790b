"""Makes weights constants in TensorFlow's graphs, for faster inference.

On a CPU, convolutions first reorder their kernels: on every call if these are
variables, but only once if they are constants.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras

# TensorFlow's graphs are protocol buffers of at most 2 GiB.
MAX_BYTES = 2**30


def values_of(variables: Iterable[keras.Variable]) -> list[tuple[keras.Variable, Any]]:
    """Variables with their current values."""
    return [(x, keras.ops.convert_to_numpy(x)) for x in variables]


def fit_in_a_graph(values: Iterable[tuple[keras.Variable, Any]]) -> bool:
    """Whether one graph can hold all values."""
    return sum(value.nbytes for _, value in values) <= MAX_BYTES


@contextlib.contextmanager
def as_constants(values: Iterable[tuple[keras.Variable, Any]]) -> Iterator[None]:
    """Traces layers with these values in place of their variables, inside the `with`.

    Assignments to variables are dropped.

    Args:
        values: result of `values_of`.
    """
    import tensorflow as tf

    mapping = [(variable, tf.constant(value)) for variable, value in values]
    with keras.StatelessScope(state_mapping=mapping):
        yield
