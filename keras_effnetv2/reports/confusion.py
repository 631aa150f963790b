"""The confusion matrix of a report, with images of its cells."""

from typing import Any

import numpy as np

from keras_effnetv2.reports import measures
from keras_effnetv2.reports.evaluated_images import Evaluation
from keras_effnetv2.reports.gallery import Gallery

_MAX_MATRIX = 20  # Classes; more do not fit on a screen.
_MAX_PAIRS = 15
_PER_CELL = 6
_PER_RIGHT_CELL = 3


def confusion_matrix(evaluation: Evaluation, gallery: Gallery) -> dict[str, Any]:
    """The confusion matrix; with many classes, of the most confused ones.

    Args:
        evaluation: evaluation of a network, of one label per image.
        gallery: where the images of its cells go.
    """
    counts, names = measures.confusion(evaluation), evaluation.run.class_names
    chosen = measures.most_confused(counts, _MAX_MATRIX)
    pairs = _pairs(counts)
    totals = np.maximum(counts.sum(axis=1), 1)

    def cell(i: int, j: int) -> dict[str, Any]:
        return {
            "key": f"{i}-{j}",
            "label": names[i],
            "predicted": names[j],
            "count": int(counts[i, j]),
            "share": float(counts[i, j] / totals[i]),
            "is_right": bool(i == j),
        }

    places = {(i, j) for i in chosen for j in chosen if counts[i, j]} | {*pairs}
    # Errors first, most frequent first.
    order = sorted(places, key=lambda x: (x[0] == x[1], -counts[x], x))
    return {
        "names": [names[i] for i in chosen],
        "rows": [
            {"name": names[i], "cells": [cell(i, j) for j in chosen]} for i in chosen
        ],
        "pairs": [cell(*pair) for pair in pairs],
        "num_left_out": len(counts) - len(chosen),
        "cells": {
            f"{i}-{j}": {
                "label": names[i],
                "predicted": names[j],
                "count": int(counts[i, j]),
                "keys": gallery.add(evaluation, _of_cell(evaluation, gallery, i, j)),
            }
            for i, j in order
        },
    }


def _pairs(counts: np.ndarray) -> list[tuple[int, int]]:
    """Label and prediction of the most frequent errors."""
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:_MAX_PAIRS]
    places = (divmod(int(flat), len(counts)) for flat in order)
    return [place for place in places if errors[place]]


def _of_cell(
    evaluation: Evaluation, gallery: Gallery, label: int, predicted: int
) -> np.ndarray:
    """Rows to show for a cell: the most confident errors, the least confident hits."""
    is_in = (evaluation.labels == label) & (evaluation.predicted == predicted)
    rows = np.flatnonzero(is_in)
    scores = gallery.scores(evaluation)[rows, predicted]
    if label == predicted:
        return rows[np.argsort(scores, kind="stable")][:_PER_RIGHT_CELL]
    return rows[np.argsort(-scores, kind="stable")][:_PER_CELL]
