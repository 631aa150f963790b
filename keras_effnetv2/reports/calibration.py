"""Calibration of scores: measuring it, and fitting a temperature.

Guo et al. 2017, https://arxiv.org/abs/1706.04599: logits are divided by a number that
maximizes the likelihood of held-out labels.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

NUM_BINS = 15
# Bounds of temperatures; a network that is never wrong has no maximum likelihood.
_LOWEST, _HIGHEST = 0.05, 20.0


def fit_temperature(
    logits: np.ndarray, labels: np.ndarray, activation: str = "softmax"
) -> float:
    """The temperature of maximum likelihood, from 0.05 to 20.

    As in Platt scaling (Platt 1999), labels are smoothed a little, by one example in n
    + 2, so that a few images without an error do not make the network sure of
    everything.

    Args:
        logits: `(images, classes)`.
        labels: integers `(images,)`, or 0 and 1 for each class `(images, classes)`.
        activation: function that turns logits into probabilities, `"softmax"` or
            `"sigmoid"`.
    """
    from scipy.optimize import minimize_scalar

    losses = {"softmax": _softmax_loss, "sigmoid": _sigmoid_loss}
    loss = losses[activation](np.asarray(logits, "float32"), np.asarray(labels))
    found: Any = minimize_scalar(
        lambda x: loss(np.float32(np.exp(-x))),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def held_out_temperatures(
    logits: np.ndarray, labels: np.ndarray, activation: str = "softmax"
) -> np.ndarray:
    """A temperature for each image, `(images,)`, fitted on other images.

    Every second image gets that of the other half, so that the evaluation is held out.
    Arguments are those of `fit_temperature`.
    """
    found = np.ones(len(logits), "float32")
    for first in (0, 1):
        others = slice(1 - first, None, 2)
        if len(logits) > 1:
            fitted = fit_temperature(logits[others], labels[others], activation)
            found[first::2] = fitted
    return found


def probabilities(
    logits: np.ndarray, activation: str, temperature: float | np.ndarray = 1.0
) -> np.ndarray:
    """float32 `(images, classes)`, from logits divided by temperatures, one or each."""
    from scipy import special

    functions = {
        "softmax": lambda x: special.softmax(x, axis=1),
        "sigmoid": special.expit,
    }
    divisor = np.asarray(temperature, "float32").reshape(-1, 1)
    return functions[activation](logits / divisor)


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How often predictions are true, by score, in bins of equal width from 0 to 1.

    Attributes:
        counts: scores in each bin, `(bins,)`.
        scores: mean score of each bin; NaN in empty bins.
        shares: share of true predictions in each bin; NaN in empty bins.
    """

    counts: np.ndarray
    scores: np.ndarray
    shares: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance between scores and shares."""
        gaps = np.abs(self.scores - self.shares)
        return float(np.nansum(gaps * self.counts) / max(self.counts.sum(), 1))


def measure_reliability(
    scores: np.ndarray, is_true: np.ndarray, num_bins: int = NUM_BINS
) -> Reliability:
    """Measures how often predictions are true, by score.

    Args:
        scores: 0 to 1, of any shape. A score on the border of two bins belongs to the
            lower.
        is_true: whether each prediction is true.
        num_bins: number of bins of equal width.
    """
    scores, is_true = np.ravel(scores), np.ravel(is_true)
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.clip(np.digitize(scores, edges, right=True) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    sums = [np.bincount(bins, weights=x, minlength=num_bins) for x in (scores, is_true)]
    with np.errstate(invalid="ignore"):
        mean_scores, shares = (x / counts for x in sums)
    return Reliability(counts, mean_scores, shares)


_Loss = Callable[[np.float32], float]


def _softmax_loss(logits: np.ndarray, labels: np.ndarray) -> _Loss:
    """Mean cross-entropy as a function of the factor of the logits."""
    from scipy import special

    unsure = 1 / (len(logits) + 2)
    own = _of_labels(logits, labels)
    target = np.mean((1 - unsure) * own + unsure * logits.mean(axis=1))

    def loss(factor: np.float32) -> float:
        totals: Any = special.logsumexp(factor * logits, axis=1)
        return float(totals.mean(dtype="float64") - factor * target)

    return loss


def _of_labels(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each image's logit of its class, or the mean over its classes."""
    if labels.ndim == 1:
        return np.take_along_axis(logits, labels[:, None].astype("int64"), 1)[:, 0]
    mass = labels.sum(axis=1)
    means = (labels * logits).sum(axis=1) / np.maximum(mass, 1)
    return np.where(mass > 0, means, logits.mean(axis=1))


def _sigmoid_loss(logits: np.ndarray, labels: np.ndarray) -> _Loss:
    unsure = 1 / (logits.size + 2)
    if labels.ndim == 1:
        positive = _of_labels(logits, labels).sum(dtype="float64")
    else:
        positive = (labels * logits).sum(dtype="float64")
    everything = logits.sum(dtype="float64")
    target = ((1 - 2 * unsure) * positive + unsure * everything) / logits.size

    def loss(factor: np.float32) -> float:
        total = np.logaddexp(0, factor * logits).mean(dtype="float64")
        return float(total - factor * target)

    return loss
