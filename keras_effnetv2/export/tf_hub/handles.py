"""Finds reusable SavedModels by handle: a folder, an archive or a URL."""

import inspect
import os
import pathlib
import urllib.parse
from typing import Any

import tensorflow as tf

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.tf_hub.module_archives import SUFFIXES
from keras_effnetv2.weights.downloads import download, https

# Asks module hosts for the archive; other servers ignore it.
_ARCHIVE = "tf-hub-format=compressed"


def resolve(handle: str) -> str:
    """The folder, or the local archive, of a handle.

    Archives from URLs are downloaded to the cache of weights.

    Raises:
        ValueError: there is no module, or its URL is neither https nor a folder in a
            bucket.
    """
    if handle.startswith("gs://") and not handle.endswith(SUFFIXES):
        return handle
    if "://" in handle:
        return _fetch(handle)
    path = pathlib.Path(handle).expanduser()
    if path.is_dir() or (path.is_file() and path.name.endswith(SUFFIXES)):
        return str(path)
    raise InputError(
        f"There is no module {handle}. Expected a folder with a SavedModel, its "
        f"archive ({', '.join(SUFFIXES)}) or a URL."
    )


def load(path: str, handle: str) -> Any:
    """Loads the module in a folder; `handle` is its name in errors.

    Raises:
        ValueError: there is no SavedModel, or it cannot be called.
    """
    try:
        is_there = tf.saved_model.contains_saved_model(path)
        found = sorted(tf.io.gfile.listdir(path))[:9] or ["nothing"]
    except tf.errors.OpError as error:
        raise InputError(f"{handle} cannot be read: {error}.") from error
    if not is_there:
        raise InputError(
            f"{handle} is not a SavedModel: saved_model.pb is missing. It contains "
            f"{', '.join(found)}. Pass the module's own folder or archive."
        )
    module = tf.saved_model.load(path)
    if not callable(module):
        raise InputError(
            f"The SavedModel {handle} cannot be called: it has only signatures, "
            f"{sorted(module.signatures)}, which cannot be fine-tuned. Expected a "
            "module as export.hub writes, or use keras.layers.TFSMLayer with "
            "call_endpoint= one of them."
        )
    return module


def parameters(module: Any) -> list[str]:
    """Names of the arguments that a module takes."""
    return list(inspect.signature(module.__call__).parameters)


def _fetch(url: str) -> str:
    """The archive that a URL serves, in the cache."""
    try:
        https.check_url(url, https.loopback_hosts(url))
    except ValueError:
        raise InputError(
            f"Modules are downloaded only over https. Received: {url!r}. Expected an "
            "https URL of an archive (http is for this machine), a gs:// URL of a "
            "folder, or a local path."
        ) from None
    parts = urllib.parse.urlsplit(url)
    if not parts.path.endswith(SUFFIXES) and not parts.query:
        url = parts._replace(query=_ARCHIVE).geturl()
    try:
        return os.fspath(download.fetch(url))
    except (ValueError, OSError) as error:
        # The download's own advice is for weights.
        raise InputError(
            f"The module {url} cannot be downloaded: {error.__context__ or error}. "
            "Check the URL, or download the archive and pass its path."
        ) from error
