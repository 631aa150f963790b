"""Weights as constants of the graphs that TensorFlow traces: faster in inference.

A processor's convolutions bring their kernels into an order of their own: at every call
where they are variables, and once where they are constants.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras

# TensorFlow's graphs are protocol buffers, of at most 2 GiB.
MAX_BYTES = 2**30


def values_of(variables: Iterable[keras.Variable]) -> list[tuple[keras.Variable, Any]]:
    """Variables, each with its value of now."""
    return [(x, keras.ops.convert_to_numpy(x)) for x in variables]


def fit_in_a_graph(values: Iterable[tuple[keras.Variable, Any]]) -> bool:
    """Whether a graph can hold them all."""
    return sum(value.nbytes for _, value in values) <= MAX_BYTES


@contextlib.contextmanager
def as_constants(values: Iterable[tuple[keras.Variable, Any]]) -> Iterator[None]:
    """Within it, layers that TensorFlow traces read these values of their variables.

    What they assign to variables is dropped.

    Args:
        values: of `values_of`.
    """
    import tensorflow as tf

    mapping = [(variable, tf.constant(value)) for variable, value in values]
    with keras.StatelessScope(state_mapping=mapping):
        yield
