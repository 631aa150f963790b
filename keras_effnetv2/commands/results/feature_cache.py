"""Cached features of the images in a folder: only new ones are computed."""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.inputs import items
from keras_effnetv2.commands.results import feature_files, image_runs
from keras_effnetv2.commands.results.feature_files import Features
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError

# A hidden file in the folder of images, so that it is not taken for one.
CACHE = ".keras_effnetv2.features.npz"

_Settings = Mapping[str, Any]
_Stamp = tuple[int, int]


def features_in(
    folder: pathlib.Path, classifier: Classifier, settings: _Settings
) -> Features:
    """Features of all readable images in a folder; prints the names of the others.

    Args:
        folder: folder of images, where the features are cached if it can be written.
        classifier: computes them.
        settings: settings that the features depend on.

    Raises:
        ValueError: there is no readable image.
    """
    images = {str(x.source.relative_to(folder)): x for x in items(folder) if x.source}
    stamps = {name: _stamp(folder / name) for name in images if name != "."}
    if not stamps:
        raise InputError(f"{printable(folder)} is a folder without images.")
    vectors = _kept(folder / CACHE, settings, stamps)
    missing = [x for name, x in images.items() if name not in vectors]
    for row in image_runs.with_progress(classifier, missing, "features"):
        if row.values is None or row.source is None:
            print("error:", row.error, file=sys.stderr, flush=True)
        else:
            vectors[str(row.source.relative_to(folder))] = row.values
    if not vectors:
        raise InputError(f"No image in {printable(folder)} can be read.")
    names = [name for name in images if name in vectors]
    matrix = np.stack([vectors[name] for name in names])
    kept = np.array([stamps[name] for name in names], "int64")
    if missing:
        _keep(Features(names, matrix, settings, kept), folder / CACHE)
    return Features([str(folder / name) for name in names], matrix, settings, kept)


def _stamp(path: pathlib.Path) -> _Stamp:
    """When a file was written, ns, and its size; zeros if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _kept(
    cache: pathlib.Path, settings: _Settings, stamps: Mapping[str, _Stamp]
) -> dict[str, np.ndarray]:
    """Cached features by name, for files that have not changed since."""
    try:
        kept = feature_files.read(cache)
    except InputError:
        return {}
    if dict(kept.settings) != dict(settings):
        return {}
    rows = zip(kept.files, kept.vectors, kept.stamps.tolist(), strict=True)
    return {
        name: vector for name, vector, stamp in rows if stamps.get(name) == tuple(stamp)
    }


def _keep(features: Features, cache: pathlib.Path) -> None:
    try:
        features.replace(cache)
    except OSError as error:
        print(f"Features are not cached: {error}", file=sys.stderr)
