"""Assigns arrays of an open file to the variables of a network, strictly.

An array that is missing, unused or of another shape is an error that names it, and then
nothing is assigned. Only the classifier may be absent, if that is asked for; and from a
model built around the network, only the network is taken.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files import readers
from keras_effnetv2.weights.files.arrays import Arrays
from keras_effnetv2.weights.matching import (
    CLASSIFIER,
    STEM,
    Shapes,
    differences,
    find,
    hint,
    listed,
    num_classes_of,
    without_classifier,
)


@dataclasses.dataclass(frozen=True)
class Source:
    """The arrays of an open file by our names.

    Attributes:
        path: path of the file or folder.
        format: its format and whose names it uses, for messages.
        num_classes: width of the classifier; None if there is none.
        shapes: shapes of all arrays, in Keras's layout.
        preprocessing: the record in the file; only our own files carry one.
        statistics: mean and variance of pixels 0..1, per channel, in the layer with
            which keras.applications normalises them in V1; None if there is none.
        around: names of the layers around the network in the file's model, which are
            not loaded.
    """

    path: pathlib.Path
    format: str
    num_classes: int | None
    shapes: Shapes
    preprocessing: dict[str, Any] | None
    statistics: tuple[np.ndarray, np.ndarray] | None
    around: tuple[str, ...]
    _arrays: Arrays
    _file_names: Mapping[str, str]
    _axes: Mapping[str, tuple[int, ...]]

    def read(self, name: str) -> np.ndarray:
        """The array `name`, float32, in Keras's layout."""
        array = np.asarray(self._arrays.read(self._file_names[name]))
        if name in self._axes:
            array = array.transpose(self._axes[name])
        return array.astype(np.float32, copy=False)


@contextlib.contextmanager
def open_weights(path: str | os.PathLike, variant: Variant) -> Iterator[Source]:
    """Opens weights of `variant`, in any known format.

    Args:
        path: a file, or a checkpoint's folder or prefix.
        variant: the network that the weights are for.

    Raises:
        ValueError: no such file, an unknown or unsafe format, a damaged file, or one
            that does not fit the network exactly.
    """
    path = pathlib.Path(path).expanduser()
    with readers.open_arrays(path) as arrays:
        found = find(arrays, variant)
        label = f"{found.naming}, {arrays.format}"
        if problems := found.problems(variant):
            raise InputError(
                f"{path} ({label}) does not belong to {variant.name}. {hint(arrays)}\n"
                f"{problems}"
            )
        file_names = names.file_names(variant, found.naming)
        yield Source(
            path,
            label,
            num_classes_of(found.shapes),
            found.shapes,
            arrays.preprocessing,
            arrays.statistics if found.naming == names.APPLICATIONS_V1 else None,
            tuple(dict.fromkeys(name.rpartition("/")[0] for name in found.around)),
            arrays,
            {name: found.prefix + file_name for name, file_name in file_names.items()},
            names.file_axes(variant, found.naming),
        )


def assign(
    source: Source,
    variables: Mapping[str, Any],
    *,
    fresh_classifier: bool,
    adapt_stem: bool = False,
) -> None:
    """Sets `variables` to the values of `source`, all or none.

    Args:
        source: open weights.
        variables: variables of a network by our names, perhaps without a classifier's.
        fresh_classifier: whether to leave the variables of the classifier as they are.
        adapt_stem: whether, if the file's images have 3 channels and the network's do
            not, to spread the sum of the stem kernel over the channels, so that grey
            images give the same results as when converted to RGB.

    Raises:
        ValueError: an array is missing, of another shape or not finite.
    """
    expected = {name: tuple(v.shape) for name, v in variables.items()}
    if fresh_classifier:
        expected = without_classifier(expected)
    found = source.shapes
    if not any(name.startswith(CLASSIFIER) for name in expected):
        found = without_classifier(found)
    channels = expected.get(STEM, found[STEM])[2]
    if adapts_stem := _adapts_stem(source, channels, adapt_stem):
        *sides, _, filters = found[STEM]
        found = found | {STEM: (*sides, channels, filters)}
    _check_shapes(source, expected, found)
    arrays = {name: source.read(name) for name in expected}
    _check_finite(source, arrays)
    if adapts_stem:
        total = arrays[STEM].sum(axis=2, keepdims=True)
        arrays[STEM] = np.repeat(total / channels, channels, axis=2)
    for name, array in arrays.items():
        variables[name].assign(array)


def _adapts_stem(source: Source, wanted: int, adapt_stem: bool) -> bool:
    """Whether the stem kernel is to be spread over another number of channels."""
    given = source.shapes[STEM][2]
    if given == wanted:
        return False
    if given == 3 and adapt_stem:
        return True
    advice = (
        "Pass include_preprocessing=False to adapt the stem to other channels, and "
        "normalise the images yourself"
        if given == 3
        else "Only weights for 3 channels are adapted to others"
    )
    raise InputError(
        f"{source.path} is for images of {given} channels, but the network for "
        f"{wanted}. {advice}."
    )


def _check_shapes(source: Source, expected: Shapes, found: Shapes) -> None:
    if problems := differences(expected, found, {}):
        raise InputError(
            f"{source.path} ({source.format}) does not fit the network.\n{problems}"
        )


def _check_finite(source: Source, arrays: Mapping[str, np.ndarray]) -> None:
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise InputError(
            f"{source.path} holds values that are infinite or NaN in {listed(broken)}."
        )
