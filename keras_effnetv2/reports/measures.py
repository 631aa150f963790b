"""Metrics of a network's outputs, for a report's tables."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_effnetv2.reports.calibration import probabilities
from keras_effnetv2.reports.evaluated_images import Evaluation

# Normal quantile of a 95% interval.
_Z95 = 1.959963984540054
# Shares of the images that a network answers, if it may say "not sure".
_COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95% confidence interval of a share: Wilson 1927, the score interval."""
    share, z2 = hits / total, _Z95**2
    center = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    half = _Z95 * spread / (1 + z2 / total)
    return max(0.0, center - half), min(1.0, center + half)


def summarize(evaluation: Evaluation, temperature: float) -> dict[str, float]:
    """`loss` and `accuracy` and, with more than five classes, `top5_accuracy`.

    The loss is that of logits divided by the temperature.
    """
    found = {
        "loss": _loss(evaluation, temperature),
        "accuracy": float(evaluation.is_hit.mean()),
    }
    if evaluation.logits.shape[1] > 5:
        found["top5_accuracy"] = float(_is_in_best(evaluation, 5).mean())
    return found


def describe_calibration(figures: Mapping[str, float]) -> str:
    """A line about the expected calibration error.

    Args:
        figures: `calibration_error`, and, if there is a temperature, `calibrated_error`
            and `temperature`.
    """
    text = f"calibration error (ECE): {figures['calibration_error']:.1%} as trained"
    if "temperature" not in figures:
        return text
    return (
        f"{text}, {figures['calibrated_error']:.1%} with logits divided by "
        f"{figures['temperature']:.3g}, as the model has them"
    )


def _is_in_best(evaluation: Evaluation, top: int) -> np.ndarray:
    """Whether a class of each image is among the best, bool `(images,)`."""
    logits = evaluation.logits
    best = np.argpartition(-logits, top - 1, axis=1)[:, :top]
    return np.any([evaluation.has_class(column) for column in best.T], axis=0)


def _loss(evaluation: Evaluation, temperature: float) -> float:
    """Mean cross-entropy."""
    from scipy import special

    logits, labels = evaluation.logits / temperature, evaluation.labels
    if evaluation.is_multi_label:
        targets = labels.astype("float32")
    else:
        targets = np.zeros_like(logits)
        targets[np.arange(len(labels)), labels] = 1
    if evaluation.activation == "sigmoid":
        losses = (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
    else:
        mass = np.maximum(targets.sum(axis=1, keepdims=True), 1e-6)
        losses = -(targets / mass * special.log_softmax(logits, axis=1)).sum(axis=1)
    return float(losses.mean())


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """A class in the table; shares are 0 to 1, None if undefined."""

    index: int
    name: str
    support: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None = None


def measure_classes(evaluation: Evaluation) -> list[ClassRow]:
    """Precision, recall and F1 of each class, and average precision if multi-label.

    With several labels, a class is predicted if its score is above one half.
    """
    from sklearn.metrics import precision_recall_fscore_support

    num_classes, names = evaluation.logits.shape[1], evaluation.run.class_names
    if evaluation.is_multi_label:
        predicted = (evaluation.logits > 0).astype("uint8")
        if evaluation.activation == "softmax":
            predicted = (evaluation.probabilities() > 0.5).astype("uint8")
    else:
        predicted = evaluation.predicted
    nothing: Any = np.nan  # For divisions by 0; scikit-learn's types lack it.
    columns: Any = precision_recall_fscore_support(
        evaluation.labels, predicted, labels=range(num_classes), zero_division=nothing
    )
    rows = []
    for index in range(num_classes):
        precision, recall, f1, support = (column[index] for column in columns)
        shares = (_known(precision), _known(recall), _known(f1))
        average = None
        if evaluation.is_multi_label and support:
            average = _average_precision(evaluation, index)
        rows.append(ClassRow(index, names[index], int(support), *shares, average))
    return rows


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _average_precision(evaluation: Evaluation, index: int) -> float:
    from sklearn.metrics import average_precision_score

    labels, scores = evaluation.labels[:, index], evaluation.logits[:, index]
    return float(average_precision_score(labels, scores))


def confusion(evaluation: Evaluation) -> np.ndarray:
    """Counts of label and prediction, `(classes, classes)`, labels first."""
    num_classes = evaluation.logits.shape[1]
    flat = evaluation.labels * num_classes + evaluation.predicted
    counts = np.bincount(flat, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def most_confused(counts: np.ndarray, limit: int) -> np.ndarray:
    """The classes with most errors from or to them, at most `limit`, in order."""
    num_classes = len(counts)
    if num_classes <= limit:
        return np.arange(num_classes)
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    chosen: dict[int, None] = {}
    for flat in np.argsort(-errors, axis=None, kind="stable"):
        label, predicted = divmod(int(flat), num_classes)
        for index in (label, predicted):
            if len(chosen) < limit:
                chosen[index] = None
        if len(chosen) == limit:
            break
    return np.array(sorted(chosen))


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Accuracy on the images that a network is most confident of."""

    coverage: float
    threshold: float
    accuracy: float
    num_images: int


def coverage_curve(scores: np.ndarray, is_hit: np.ndarray) -> np.ndarray:
    """Accuracy on the most confident image, the first two, and so on, `(images,)`."""
    order = np.argsort(-scores, kind="stable")
    return np.cumsum(is_hit[order]) / np.arange(1, len(order) + 1)


def coverage_table(scores: np.ndarray, is_hit: np.ndarray) -> list[Coverage]:
    """Remaining errors if a network says "not sure" below a threshold.

    Args:
        scores: score of each image's best class, `(images,)`.
        is_hit: whether it is right.
    """
    ordered, rows = np.sort(scores)[::-1], []
    for coverage in _COVERAGES:
        threshold = ordered[max(1, round(coverage * len(ordered))) - 1]
        is_sure = scores >= threshold  # More, if several are equal.
        rows.append(
            Coverage(
                float(is_sure.mean()),
                0.0 if coverage == 1 else float(threshold),
                float(is_hit[is_sure].mean()),
                int(is_sure.sum()),
            )
        )
    return list({row.num_images: row for row in reversed(rows)}.values())[::-1]


@dataclasses.dataclass(frozen=True)
class Views:
    """Accuracies without and with several views of each image."""

    single: float
    several: float
    num_mended: int
    num_spoilt: int


def measure_views(evaluation: Evaluation) -> Views | None:
    """The accuracies with several views; None if only one was used."""
    if evaluation.averaged is None:
        return None
    before = evaluation.is_hit
    after = evaluation.has_class(evaluation.averaged.argmax(axis=1))
    return Views(
        float(before.mean()),
        float(after.mean()),
        int((after & ~before).sum()),
        int((before & ~after).sum()),
    )


def own_scores(evaluation: Evaluation, temperature: float) -> np.ndarray:
    """The probability of each image's label, `(images,)`.

    With several labels, that of the least likely one; without any, 1 minus that of the
    best class.
    """
    found = probabilities(evaluation.logits, evaluation.activation, temperature)
    if not evaluation.is_multi_label:
        return np.take_along_axis(found, evaluation.labels[:, None], 1)[:, 0]
    least = np.where(evaluation.labels > 0, found, np.inf).min(axis=1)
    return np.where(np.isinf(least), 1 - found.max(axis=1), least)
