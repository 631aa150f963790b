"""Losses and accuracies that training and evaluation share, on scores before softmax.

All take labels `(batch, classes)`, one-hot or mixed with a sum of 1, or 0 and 1 for
each class if an image may have several, and scores `(batch, classes)`; all return
`(batch,)`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops


def build_loss(
    kind: str,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Callable[[Any, Any], Any]:
    """Cross-entropy of each example, a function of labels and scores.

    Args:
        kind: `"softmax"`: labels share a mass of 1 (Tan and Le 2021, Section 5.2), or
            `"sigmoid"`: a yes or no for each class, summed over the classes.
        label_smoothing: probability that is moved from the label evenly to all classes.
        class_weights: factors of the loss of images of each class; with several labels,
            their mean. None: 1.
    """
    loss = {"softmax": _softmax_loss, "sigmoid": _sigmoid_loss}[kind]
    loss = functools.partial(loss, label_smoothing=label_smoothing)
    if class_weights is None:
        return loss
    weights = np.asarray(class_weights, "float32")
    return lambda labels, scores: loss(labels, scores) * _weight_of(labels, weights)


def balanced_weights(class_counts: Sequence[int]) -> list[float]:
    """Weights that make every class count equally, with a mean of 1 over images.

    Args:
        class_counts: images of each class; one without any has weight 1.
    """
    found = [count for count in class_counts if count]
    return [
        sum(found) / (len(found) * count) if count else 1.0 for count in class_counts
    ]


def _weight_of(labels: Any, weights: np.ndarray) -> Any:
    """The mean weight of the labels of each image; 1 for images without labels."""
    mass = ops.sum(labels, axis=-1)
    total = ops.sum(labels * weights, axis=-1)
    return ops.where(mass > 0, total / ops.maximum(mass, 1e-6), 1.0)


def top_k_hits(labels: Any, scores: Any, k: int) -> Any:
    """1 if a class with the largest label is among the `k` best scores, else 0."""
    k = min(k, labels.shape[-1])
    _, best = ops.top_k(scores, k)
    found = ops.max(ops.take_along_axis(labels, best, axis=-1), axis=-1)
    largest = ops.max(labels, axis=-1)
    return ops.cast((found >= largest) & (largest > 0), "float32")


def _softmax_loss(labels: Any, scores: Any, label_smoothing: float) -> Any:
    mass = ops.sum(labels, axis=-1, keepdims=True)
    labels = labels / ops.maximum(mass, 1e-6)  # An image may have no label at all.
    labels = labels * (1 - label_smoothing) + label_smoothing / labels.shape[-1]
    return -ops.sum(labels * ops.log_softmax(scores, axis=-1), axis=-1)


def _sigmoid_loss(labels: Any, scores: Any, label_smoothing: float) -> Any:
    labels = labels * (1 - label_smoothing) + label_smoothing / 2
    yes, no = ops.log_sigmoid(scores), ops.log_sigmoid(-scores)
    return -ops.sum(labels * yes + (1 - labels) * no, axis=-1)
