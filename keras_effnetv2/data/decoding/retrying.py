"""Retries reads from disks and networks, which sometimes fail on sound data."""

import errno
import re
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
# What waiting does not change. A missing file may come back, with its network share.
_LASTING_NUMBERS = (
    errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG,
    errno.ELOOP,
)  # fmt: skip
_LASTING_ERRORS = (tf.errors.PermissionDeniedError, tf.errors.UnimplementedError)


def retried(read: Callable[[], _Result], name: Any) -> _Result:
    """The result of `read`, retried if the file system fails.

    Args:
        read: may raise `OF_DATA`, which are not failures of the file system.
        name: the name of what is read, for messages.

    Raises:
        OSError: every try failed, or the first in a way that lasts, such as a lack of
            permission.
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
            if _lasts(error):
                raise FileError(f"{name} cannot be read: {reason}.") from error
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


def describe_damage(error: tf.errors.OpError) -> str:
    """What is wrong with data, of one of `OF_DATA`, as the end of a sentence."""
    # Without TensorFlow's operation names.
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message)
    return " ".join(text.split()).rstrip(".")


def _lasts(error: OSError | tf.errors.OpError) -> bool:
    if isinstance(error, FileError):  # Of a `RemotePath`.
        return isinstance(error.__cause__, _LASTING_ERRORS)
    if isinstance(error, OSError):
        return error.errno in _LASTING_NUMBERS
    return isinstance(error, _LASTING_ERRORS)
