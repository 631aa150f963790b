"""From an open file to the variables of a network, strictly.

What a file lacks, has too much, or has in another shape is an error that names it, and
then nothing is assigned. Only the classifier may be absent, where that is asked for;
and of a model that somebody built around the network, the network alone is taken.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variants import VARIANTS
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files import readers
from keras_effnetv2.weights.files.arrays import Arrays

Shapes = dict[str, tuple[int, ...]]

_STEM = "stem_conv/kernel"
_CLASSIFIER = "predictions/"
_MAX_LISTED = 10


@dataclasses.dataclass(frozen=True)
class Source:
    """The arrays of an open file by our names.

    Attributes:
        path: of the file or folder.
        format: what it is and whose names it has, for messages.
        num_classes: width of the classifier, None if there is none.
        shapes: of all arrays, in Keras' layout.
        preprocessing: the record in the file; only our own files carry one.
        statistics: mean and variance of pixels 0..1, one a channel, in the layer with
            which keras.applications normalises them in V1; None if there is none.
        around: names of the layers that the file's model has around the network, and
            that are not loaded.
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
        """The array `name`, float32, in Keras' layout."""
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
        ValueError: no such file, a format that is not known or not safe, a damaged
            file, or one that does not fit the network exactly.
    """
    path = pathlib.Path(path).expanduser()
    with readers.open_arrays(path) as arrays:
        found = _find(arrays, variant)
        label = f"{found.naming}, {arrays.format}"
        if problems := found.problems(variant):
            raise InputError(
                f"{path} ({label}) is not of {variant.name}. {_hint(arrays)}\n"
                f"{problems}"
            )
        file_names = names.file_names(variant, found.naming)
        yield Source(
            path,
            label,
            _num_classes(found.shapes),
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
    """Gives `variables` the values of `source`, all or none.

    Args:
        source: open weights.
        variables: of a network by our names; perhaps without those of a classifier.
        fresh_classifier: leave the variables of the classifier as they are.
        adapt_stem: if the file's images have 3 channels and the network's have not,
            share the sum of the stem kernel between them, so that grey images give
            what they gave as RGB.

    Raises:
        ValueError: an array is missing, misshapen or not finite.
    """
    expected = {name: tuple(v.shape) for name, v in variables.items()}
    if fresh_classifier:
        expected = _without_classifier(expected)
    found = source.shapes
    if not any(name.startswith(_CLASSIFIER) for name in expected):
        found = _without_classifier(found)
    channels = expected.get(_STEM, found[_STEM])[2]
    if adapts_stem := _adapts_stem(source, channels, adapt_stem):
        *sides, _, filters = found[_STEM]
        found = found | {_STEM: (*sides, channels, filters)}
    _check_shapes(source, expected, found)
    arrays = {name: source.read(name) for name in expected}
    _check_finite(source, arrays)
    if adapts_stem:
        total = arrays[_STEM].sum(axis=2, keepdims=True)
        arrays[_STEM] = np.repeat(total / channels, channels, axis=2)
    for name, array in arrays.items():
        variables[name].assign(array)


@dataclasses.dataclass(frozen=True)
class _Found:
    """A network in a file.

    Attributes:
        naming: whose names it has.
        prefix: of its names in the file, `""` or `"MODEL/"`.
        shapes: of its arrays by our names, in Keras' layout.
        unexpected: what nothing here is called.
        around: what belongs to layers of a model around the network.
    """

    naming: str
    prefix: str
    shapes: Shapes
    unexpected: Shapes
    around: Shapes

    def problems(self, variant: Variant) -> str:
        """Lines that say why it is not the network of `variant`; empty if it is."""
        expected = _network(variant, self.shapes)
        return _differences(expected, self.shapes, self.unexpected)

    def without_head(self, variant: Variant) -> "_Found":
        """The network alone, if the layers after it are not its own classifier."""
        rows = self.shapes.get(f"{_CLASSIFIER}kernel", ())[:1]
        if not self.unexpected or rows == (variant.round_filters(variant.top_filters),):
            return self
        shapes = _without_classifier(self.shapes)
        head = {
            name: shape for name, shape in self.shapes.items() if name not in shapes
        }
        around = self.around | self.unexpected | head
        return dataclasses.replace(self, shapes=shapes, unexpected={}, around=around)


def _find(arrays: Arrays, variant: Variant) -> _Found:
    """The network in a file, by the names and at the place that fit best."""
    naming, prefix = _place(arrays, variant)
    inside = {
        name.removeprefix(prefix): shape
        for name, shape in arrays.shapes.items()
        if name.startswith(prefix)
    }
    around = {
        name: shape
        for name, shape in arrays.shapes.items()
        if not name.startswith(prefix)
    }
    found = _Found(naming, prefix, *_translate(inside, variant, naming), around)
    if arrays.has_models and not (alone := found.without_head(variant)).problems(
        variant
    ):
        return alone
    return found


def _place(arrays: Arrays, variant: Variant) -> tuple[str, str]:
    """Whose names the file has, and what is before them: those of which it has most."""
    counts = collections.Counter()
    for naming in arrays.namings:
        wanted = set(names.file_names(variant, naming).values())
        counts[naming, ""] = len(arrays.shapes.keys() & wanted)
        if not arrays.has_models:
            continue
        for name in arrays.shapes:
            prefix, slash, rest = name.partition("/")
            while slash:
                counts[naming, f"{prefix}/"] += rest in wanted
                more, slash, rest = rest.partition("/")
                prefix = f"{prefix}/{more}"
    return max(counts, key=counts.__getitem__)


def _translate(shapes: Shapes, variant: Variant, naming: str) -> tuple[Shapes, Shapes]:
    """Shapes by our names in Keras' layout; and those that nothing here is called."""
    translation = {
        file_name: name for name, file_name in names.file_names(variant, naming).items()
    }
    all_axes = names.file_axes(variant, naming)
    translated, unexpected = {}, {}
    for file_name, shape in shapes.items():
        name = translation.get(file_name)
        if name is None:
            unexpected[file_name] = shape
            continue
        axes = all_axes.get(name)
        if axes and len(axes) == len(shape):
            shape = tuple(shape[axis] for axis in axes)
        translated[name] = tuple(shape)
    return translated, unexpected


def _num_classes(shapes: Shapes) -> int | None:
    for name in (f"{_CLASSIFIER}kernel", f"{_CLASSIFIER}bias"):
        if shapes.get(name):
            return shapes[name][-1]
    return None


def _network(variant: Variant, shapes: Shapes) -> Shapes:
    """Shapes of the network with as many classes and channels as the file has."""
    stem = shapes.get(_STEM, ())
    channels = stem[2] if len(stem) == 4 else 3
    return names.canonical_shapes(variant, _num_classes(shapes), channels)


def _differences(expected: Shapes, found: Shapes, unexpected: Shapes) -> str:
    """Lines that say what is wrong; empty if nothing is."""
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    misshapen = [
        f"{name} {found[name]} instead of {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    groups = {
        "Missing": missing,
        "Unexpected": [*extra, *unexpected],
        "Wrong shape": misshapen,
    }
    return "\n".join(f"{key}: {_listed(x)}." for key, x in groups.items() if x)


def _listed(items: list[str]) -> str:
    rest = len(items) - _MAX_LISTED
    return ", ".join(items[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _hint(arrays: Arrays) -> str:
    """Which variant the file is of."""
    for variant in VARIANTS.values():
        if not _find(arrays, variant).problems(variant):
            return f"It fits {variant.name!r}: pass that variant."
    return f"It fits none of {', '.join(VARIANTS)}."


def _without_classifier(shapes: Shapes) -> Shapes:
    return {
        name: shape
        for name, shape in shapes.items()
        if not name.startswith(_CLASSIFIER)
    }


def _adapts_stem(source: Source, wanted: int, adapt_stem: bool) -> bool:
    """Whether the stem kernel is to be spread over another number of channels."""
    given = source.shapes[_STEM][2]
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
        f"{source.path} is for images of {given} channels, the network for {wanted}. "
        f"{advice}."
    )


def _check_shapes(source: Source, expected: Shapes, found: Shapes) -> None:
    if problems := _differences(expected, found, {}):
        raise InputError(
            f"{source.path} ({source.format}) does not fit the network.\n{problems}"
        )


def _check_finite(source: Source, arrays: Mapping[str, np.ndarray]) -> None:
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise InputError(
            f"{source.path} holds values that are infinite or no numbers in "
            f"{_listed(broken)}."
        )
