"""Finds the network in a file: whose names it uses, and where it is."""

import collections
import dataclasses

from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variants import VARIANTS
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files.arrays import Arrays

Shapes = dict[str, tuple[int, ...]]

STEM = "stem_conv/kernel"
CLASSIFIER = "predictions/"
_MAX_LISTED = 10


@dataclasses.dataclass(frozen=True)
class Found:
    """A network in a file.

    Attributes:
        naming: whose names it uses.
        prefix: prefix of its names in the file, `""` or `"MODEL/"`.
        shapes: shapes of its arrays by our names, in Keras's layout.
        unexpected: arrays that match none of our names.
        around: arrays of layers of a model around the network.
    """

    naming: str
    prefix: str
    shapes: Shapes
    unexpected: Shapes
    around: Shapes

    def problems(self, variant: Variant) -> str:
        """Reasons why it is not the network of `variant`, as lines; empty if it is."""
        expected = _network(variant, self.shapes)
        return differences(expected, self.shapes, self.unexpected)

    def without_head(self, variant: Variant) -> "Found":
        """Only the network, if the layers after it are not its own classifier."""
        rows = self.shapes.get(f"{CLASSIFIER}kernel", ())[:1]
        if not self.unexpected or rows == (variant.scaled_top_filters,):
            return self
        shapes = without_classifier(self.shapes)
        head = {
            name: shape for name, shape in self.shapes.items() if name not in shapes
        }
        around = self.around | self.unexpected | head
        return dataclasses.replace(self, shapes=shapes, unexpected={}, around=around)


def find(arrays: Arrays, variant: Variant) -> Found:
    """The network in a file, with the naming and prefix that fit best."""
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
    found = Found(naming, prefix, *_translate(inside, variant, naming), around)
    if arrays.has_models and not (alone := found.without_head(variant)).problems(
        variant
    ):
        return alone
    return found


def _place(arrays: Arrays, variant: Variant) -> tuple[str, str]:
    """The naming and prefix of which the file has most names."""
    counts = collections.Counter()
    for naming in arrays.namings:
        # Its networks have the same arrays as others, so files cannot tell them apart.
        if naming == names.TORCHVISION and variant.padding != "symmetric":
            continue
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
    """Shapes by our names in Keras's layout, and arrays that match none."""
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


def num_classes_of(shapes: Shapes) -> int | None:
    """Width of the classifier; None if there is none."""
    for name in (f"{CLASSIFIER}kernel", f"{CLASSIFIER}bias"):
        if shapes.get(name):
            return shapes[name][-1]
    return None


def _network(variant: Variant, shapes: Shapes) -> Shapes:
    """Shapes of the network with the file's numbers of classes and channels."""
    stem = shapes.get(STEM, ())
    channels = stem[2] if len(stem) == 4 else 3
    return names.canonical_shapes(variant, num_classes_of(shapes), channels)


def differences(expected: Shapes, found: Shapes, unexpected: Shapes) -> str:
    """Differences, as lines; empty if there are none."""
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
    return "\n".join(f"{key}: {listed(x)}." for key, x in groups.items() if x)


def listed(items: list[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(items) - _MAX_LISTED
    return ", ".join(items[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def hint(arrays: Arrays) -> str:
    """A sentence about the variant that the file fits."""
    for variant in VARIANTS.values():
        if not find(arrays, variant).problems(variant):
            return f"It fits {variant.name!r}: pass that variant."
    return f"It fits none of {', '.join(VARIANTS)}."


def without_classifier(shapes: Shapes) -> Shapes:
    """Shapes of the network without its classifier."""
    return {
        name: shape for name, shape in shapes.items() if not name.startswith(CLASSIFIER)
    }
