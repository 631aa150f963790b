"""TensorFlow untyped: it has no types, and those in type checkers cover half of it.

Theirs lack `tf.random.experimental` and `%` and `~` of tensors, for example.
"""

from typing import Any

def __getattr__(name: str) -> Any: ...
