"""How TensorFlow traces the functions of `fit` and of a model's call."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras


def without_autograph(function: Callable) -> Callable:
    """Keeps TensorFlow from rewriting a function, which takes a second for nothing."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)


@contextlib.contextmanager
def variables_outside_of_graphs() -> Iterator[None]:
    """Creates variables in the block as if no function were being traced.

    TensorFlow traces a function twice if its first trace creates variables: once with
    their initializers, as conditions, and once without.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    def create(next_creator: Callable, **kwargs: Any) -> Any:
        return next_creator(**kwargs | {"experimental_enable_variable_lifting": False})

    with tf.init_scope(), tf.variable_creator_scope(create):
        yield
