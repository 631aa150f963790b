"""Keras with types of what ours derives from, so that its attributes are checked.

The rest is untyped: what a checker makes of Keras's source depends on the version, its
layers are of an unknown class, and its operations may give OpenVINO's tensors.
"""

from typing import Any

from keras import callbacks as callbacks
from keras import layers as layers
from keras import saving as saving

def __getattr__(name: str) -> Any: ...
