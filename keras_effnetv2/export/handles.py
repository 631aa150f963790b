"""Reusable SavedModels by handle: a folder, an archive or a URL."""

import inspect
import os
import pathlib
from typing import Any

import tensorflow as tf

from keras_effnetv2.errors import InputError, MissingPackageError
from keras_effnetv2.export.archives import SUFFIXES


def resolve(handle: str) -> str:
    """Path of the folder or local archive that a handle stands for.

    Raises:
        ImportError: TensorFlow Hub is needed, and is not installed.
        ValueError: there is none.
    """
    if "://" in handle:
        return _fetch(handle)
    path = pathlib.Path(handle).expanduser()
    if path.is_dir() or is_archive(str(path)):
        return str(path)
    raise InputError(
        f"There is no module {handle}. Expected a folder with a SavedModel, its "
        f"archive ({', '.join(SUFFIXES)}) or a URL."
    )


def is_archive(path: str) -> bool:
    """Whether a path is that of a local archive."""
    return path.endswith(SUFFIXES) and os.path.isfile(path)


def load(path: str, handle: str) -> Any:
    """The module in a folder; `handle` is what errors call it.

    Raises:
        ValueError: there is no SavedModel, or it cannot be called.
    """
    if not tf.saved_model.contains_saved_model(path):
        found = sorted(tf.io.gfile.listdir(path))[:9] or ["nothing"]
        raise InputError(
            f"{handle} is no SavedModel: saved_model.pb is missing. It holds "
            f"{', '.join(found)}. Name the module's own folder or archive."
        )
    module = tf.saved_model.load(path)
    if not callable(module):
        raise InputError(
            f"The SavedModel {handle} cannot be called: it has signatures only, "
            f"{sorted(module.signatures)}, which cannot be fine-tuned. Expected a "
            "module as export.hub writes, or use keras.layers.TFSMLayer with "
            "call_endpoint= one of them."
        )
    return module


def parameters(module: Any) -> list[str]:
    """Names of the arguments that a module takes."""
    return list(inspect.signature(module.__call__).parameters)


def _fetch(url: str) -> str:
    """Where TensorFlow Hub keeps what it downloads, or the URL of a bucket."""
    try:
        import tensorflow_hub
    except ImportError as error:
        raise MissingPackageError(
            f"{url} is fetched by tensorflow-hub, which cannot be imported ({error}): "
            "pip install keras_effnetv2[export]."
        ) from error
    try:
        return os.fsdecode(tensorflow_hub.resolve(url))
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f"The module {url} cannot be fetched: {error}. Check the URL, or download "
            "the archive and name that."
        ) from error
