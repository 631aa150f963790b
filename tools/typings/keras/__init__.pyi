"""Keras, with types for the classes that ours derive from, so attributes are checked.

The rest is untyped: from Keras's source, a checker's results depend on the version,
layers have an unknown class, and operations may return OpenVINO's tensors.
"""

from typing import Any

from keras import callbacks as callbacks
from keras import layers as layers
from keras import saving as saving

def __getattr__(name: str) -> Any: ...
