"""Finds labels that are likely wrong, by confident learning.

Northcutt et al. 2021, https://arxiv.org/abs/1911.00068: a class is confident of an
image if its score is above the mean score of the class's own images. An image is
suspect if another class is confident of it, and its own class is far from it. For
images that the network was trained on, it is enough that it still predicts another
class.
"""

import dataclasses

import numpy as np

# A suspect's score for its label is below this share of the mean score of the class's
# own images.
_FAR = 0.5


@dataclasses.dataclass(frozen=True)
class SuspectLabel:
    """An image whose label is likely wrong.

    Attributes:
        row: row of the image.
        label: its label.
        suggested: the class that is confident of it.
        own_score: its score for the label.
        score: its score for the suggested class.
    """

    row: int
    label: int
    suggested: int
    own_score: float
    score: float


def find_label_errors(
    scores: np.ndarray, labels: np.ndarray, *, trained_on: bool = False
) -> list[SuspectLabel]:
    """Images whose label is likely wrong, most likely first.

    Args:
        scores: probabilities `(images, classes)`.
        labels: integers `(images,)`.
        trained_on: whether the network was trained on these images.
    """
    own = np.take_along_axis(scores, labels[:, None], 1)[:, 0]
    num_classes = scores.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=own, minlength=num_classes)
    # The mean is unknown for a class without images.
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
