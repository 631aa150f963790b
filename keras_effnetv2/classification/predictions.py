"""What a classifier says of an image, with the names of its classes."""

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
    """A class: its WordNet id, empty where it has none, and its name."""

    wordnet_id: str
    name: str


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """A class of an image: its number, its name and what the network gives it."""

    index: int
    name: str
    score: float


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Prediction:
    """The classes of one image, or why there are none.

    Attributes:
        source: the file that the image is from; None of pixels and bytes.
        scores: float32 `(classes,)`, what the network gives each class; None where the
            image could not be read.
        classes: what they are called, in order.
        error: why the image could not be read; None of others.
    """

    source: pathlib.Path | None
    scores: np.ndarray | None
    classes: tuple[ClassName, ...]
    error: Exception | None = None

    def top(self, num: int = 5) -> list[ClassScore]:
        """The best classes, best first; of equals the first is first.

        Args:
            num: how many; fewer if there are fewer, none of an image without scores.
        """
        if self.scores is None:
            return []
        return [
            ClassScore(int(i), self.classes[i].name, float(self.scores[i]))
            for i in best_columns(self.scores[None], num)[0]
        ]

    @property
    def index(self) -> int | None:
        """Number of the best class; None of an image without scores."""
        return self._best("index")

    @property
    def name(self) -> str | None:
        """Name of the best class; None of an image without scores."""
        return self._best("name")

    @property
    def score(self) -> float | None:
        """What the network gives the best class; None of an image without scores."""
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
    """The numbers of the best classes `(batch, top)` of scores `(batch, classes)`.

    They are fewer than `top` if there are fewer classes. Of equals the first is first.
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :top]


def class_names(
    class_labels: str | tuple[str, ...] | None, num_classes: int
) -> tuple[ClassName, ...]:
    """What every class is called: by its name, or else `class 3`.

    Args:
        class_labels: as `Preprocessing.labels`; of another number of classes they are
            not used.
        num_classes: how many there are.
    """
    if isinstance(class_labels, tuple) and len(class_labels) == num_classes:
        return _with_ids(class_labels)
    if isinstance(class_labels, str) and NUM_LABELS.get(class_labels) == num_classes:
        return _known(class_labels)
    return tuple(ClassName("", f"class {index}") for index in range(num_classes))


def _with_ids(names: Iterable[str]) -> tuple[ClassName, ...]:
    """Names, which in exports are also those of a known list."""
    names = tuple(names)
    for title, num in NUM_LABELS.items():
        if num == len(names):
            known = _known(title)
            if tuple(x.name for x in known) == names:
                return known
    return tuple(ClassName("", name) for name in names)


def _known(title: str) -> tuple[ClassName, ...]:
    return tuple(ClassName(*row) for row in labels.class_names(title))
