"""Retries reads from disks and networks, which sometimes fail on sound data."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf
from absl import logging

from keras_effnetv2.errors import FileError

_Result = TypeVar("_Result")

# Seconds before the second and later tries.
WAITS = (0.5, 1.0, 2.0)
# TensorFlow's errors about data; all others are of the disk, network or machine.
OF_DATA = (tf.errors.InvalidArgumentError, tf.errors.DataLossError)


def retried(read: Callable[[], _Result], name: Any) -> _Result:
    """The result of `read`, retried if the file system fails.

    Args:
        read: may raise `OF_DATA`, which are not failures of the file system.
        name: the name of what is read, for messages.

    Raises:
        OSError: every try failed.
    """
    waits = iter(WAITS)
    while True:
        try:
            return read()
        except OF_DATA:
            raise
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "message", "")
            reason = " ".join((reason or str(error)).split()).rstrip(".")
            wait = next(waits, None)
            if wait is None:
                raise FileError(
                    f"{name} cannot be read, tried {len(WAITS) + 1} times: {reason}. "
                    "The disk, the network or the machine is at fault, not the image."
                ) from error
            logging.warning(
                "%s cannot be read; retrying in %s s: %s", name, wait, reason
            )
            time.sleep(wait)
