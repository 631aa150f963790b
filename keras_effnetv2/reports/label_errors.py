"""Labels that are likely wrong, by confident learning.

Northcutt et al. 2021, https://arxiv.org/abs/1911.00068: a class is confident of an
image that it gives more than it gives its own images in the mean. An image of which
another class is confident, and its own far from it, is suspect. Of images that a
network was trained on, which has been told their labels, it is enough that it takes
them for another class nevertheless.
"""

import dataclasses

import numpy as np

# Of the mean that a class gives its own images: its label gives a suspect less.
_FAR = 0.5


@dataclasses.dataclass(frozen=True)
class SuspectLabel:
    """An image whose label is likely wrong.

    Attributes:
        row: of the image.
        label: that it has.
        suggested: class that is confident of it.
        own_score: what its label's class gives it.
        score: what the suggested class gives it.
    """

    row: int
    label: int
    suggested: int
    own_score: float
    score: float


def find_label_errors(
    scores: np.ndarray, labels: np.ndarray, *, trained_on: bool = False
) -> list[SuspectLabel]:
    """Images whose label is likely wrong, the likeliest first.

    Args:
        scores: probabilities `(images, classes)`.
        labels: whole numbers `(images,)`.
        trained_on: the network was trained on these images.
    """
    own = np.take_along_axis(scores, labels[:, None], 1)[:, 0]
    num_classes = scores.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=own, minlength=num_classes)
    # Nobody knows what a class without images would give them.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    least = np.where(counts > 0, 0, np.inf) if trained_on else thresholds
    confident = np.where(scores >= least.astype(scores.dtype), scores, -1.0)
    np.put_along_axis(confident, labels[:, None], -1.0, axis=1)
    suggested, best = confident.argmax(axis=1), confident.max(axis=1)
    is_suspect = (best > own) & (own < _FAR * thresholds[labels])
    found = [
        SuspectLabel(
            int(row),
            int(labels[row]),
            int(suggested[row]),
            float(own[row]),
            float(best[row]),
        )
        for row in np.flatnonzero(is_suspect)
    ]
    return sorted(found, key=lambda x: x.own_score - x.score)
