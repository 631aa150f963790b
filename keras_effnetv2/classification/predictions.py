"""Predictions of a classifier for an image, with class names."""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from keras_effnetv2.data.printable import printable
from keras_effnetv2.preprocessing import NUM_LABELS
from keras_effnetv2.weights import labels

_NUM_SHOWN = 3  # Classes in a prediction's text.


class ClassName(NamedTuple):
    """A class: its WordNet ID, empty if it has none, and its name."""

    wordnet_id: str
    name: str


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """A class of an image: its number, its name and its score."""

    index: int
    name: str
    score: float


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Prediction:
    """The classes of one image, or an error.

    Attributes:
        source: the file of the image; None for pixels and bytes.
        scores: float32 `(classes,)`, the network's score of each class; None if the
            image could not be read.
        classes: names of the classes, in order.
        error: why the image could not be read; otherwise None.
    """

    source: pathlib.Path | None
    scores: np.ndarray | None
    classes: tuple[ClassName, ...]
    error: Exception | None = None

    def top(self, num: int = 5) -> list[ClassScore]:
        """The best classes, best first; ties in order of the classes.

        Args:
            num: how many; fewer if there are fewer, none for an image without scores.
        """
        if self.scores is None:
            return []
        return [
            ClassScore(int(i), self.classes[i].name, float(self.scores[i]))
            for i in best_columns(self.scores[None], num)[0]
        ]

    @property
    def index(self) -> int | None:
        """Number of the best class; None for an image without scores."""
        return self._best("index")

    @property
    def name(self) -> str | None:
        """Name of the best class; None for an image without scores."""
        return self._best("name")

    @property
    def score(self) -> float | None:
        """Score of the best class; None for an image without scores."""
        return self._best("score")

    def _best(self, field: str):
        return next((getattr(x, field) for x in self.top(1)), None)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"<Prediction error: {self.error}>"
        source = "" if self.source is None else f"{printable(self.source)}: "
        best = ", ".join(f"{x.name} {x.score:.4f}" for x in self.top(_NUM_SHOWN))
        return f"<Prediction {source}{best}>"


def best_columns(scores: np.ndarray, top: int) -> np.ndarray:
    """The numbers of the best classes `(batch, top)` for scores `(batch, classes)`.

    There are fewer than `top` if there are fewer classes. Ties are in order of the
    classes.
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :top]


def class_names(
    class_labels: str | tuple[str, ...] | None, num_classes: int
) -> tuple[ClassName, ...]:
    """The name of every class, or else `class 3`.

    Args:
        class_labels: as `Preprocessing.labels`; ignored if the number of classes
            differs.
        num_classes: how many there are.
    """
    if isinstance(class_labels, tuple) and len(class_labels) == num_classes:
        return _with_ids(class_labels)
    if isinstance(class_labels, str) and NUM_LABELS.get(class_labels) == num_classes:
        return _known(class_labels)
    return tuple(ClassName("", f"class {index}") for index in range(num_classes))


def _with_ids(names: Iterable[str]) -> tuple[ClassName, ...]:
    """Names with IDs; names in exports may be those of a known list."""
    names = tuple(names)
    for title, num in NUM_LABELS.items():
        if num == len(names):
            known = _known(title)
            if tuple(x.name for x in known) == names:
                return known
    return tuple(ClassName("", name) for name in names)


def _known(title: str) -> tuple[ClassName, ...]:
    return tuple(ClassName(*row) for row in labels.class_names(title))
