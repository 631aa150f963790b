"""How much each decision matters to the reward."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_effnetv2.search.results.trials import Result
from keras_effnetv2.search.sampling.policy import Choice

_RIDGES = 10.0 ** np.arange(-2, 5)  # Penalties to try, weak to strong.


@dataclasses.dataclass(frozen=True)
class Importance:
    """What an additive model of the reward says about the decisions.

    Attributes:
        shares: decision -> its share of the modelled variance, adding up to 1; largest
            first.
        best_choices: decision -> the choice that adds most.
        explained: share of the reward's variance that the model predicts in held-out
            trials; near 0, the shares mean nothing.
    """

    shares: dict[str, float]
    best_choices: dict[str, Choice]
    explained: float


def measure_importance(results: Sequence[Result]) -> Importance | None:
    """Fits reward = mean + an effect of each choice, and compares the effects.

    A decision's share is the variance of its effects, with all choices equally likely.
    As all effects are fitted together, it does not matter that a learning sampler has
    settled on several choices at about the same time; comparing the mean rewards of a
    decision's choices would credit each of them with all. Ridge regression, with its
    penalty chosen by leave-one-out cross-validation, copes with few trials.
    Interactions of decisions are not modelled.

    Args:
        results: results of a study; those without a reward are left out.

    Returns:
        None if there is nothing to compare: fewer than three rewards, or all equal.
    """
    complete = [result for result in results if result.reward is not None]
    rewards = np.array([result.reward for result in complete])
    if len(complete) < 3 or np.ptp(rewards) == 0:
        return None
    columns = _columns(complete)
    features = np.array(
        [
            [result.point[name] == choice for name, choice in columns]
            for result in complete
        ],
        dtype=float,
    )
    effects, explained = _fit(features, rewards)
    groups: dict[str, dict[Choice, float]] = {}
    for (name, choice), effect in zip(columns, effects.tolist(), strict=True):
        groups.setdefault(name, {})[choice] = effect
    variances = {name: np.var(list(group.values())) for name, group in groups.items()}
    total = sum(variances.values()) or 1.0
    names = sorted(variances, key=variances.__getitem__, reverse=True)
    return Importance(
        {name: float(variances[name] / total) for name in names},
        {name: max(group, key=group.__getitem__) for name, group in groups.items()},
        explained,
    )


def _columns(results: Sequence[Result]) -> list[tuple[str, Choice]]:
    """Every decision with every choice that occurred."""
    return [
        (name, choice)
        for name in results[0].point
        for choice in sorted({result.point[name] for result in results}, key=str)
    ]


def _fit(features: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, float]:
    """Effects `(columns,)`, and the variance explained in left-out trials.

    Args:
        features: `(trials, columns)`.
        rewards: `(trials,)`.
    """
    # Mean and effects are fitted together: a trial left out is left out of both.
    centered = features - features.mean(0)
    left, scales, right = np.linalg.svd(centered, full_matrices=False)
    deviations = rewards - rewards.mean()
    tried = []
    for ridge in _RIDGES:
        shrink = scales**2 / (scales**2 + ridge)
        fitted = left @ (shrink * (left.T @ deviations))
        leverage = (left**2) @ shrink + 1 / len(rewards)
        error = np.sum(((deviations - fitted) / np.maximum(1 - leverage, 1e-6)) ** 2)
        tried.append((error, ridge))
    error, ridge = min(tried)
    effects = right.T @ (scales / (scales**2 + ridge) * (left.T @ deviations))
    # Each reward is also compared with the mean of the others.
    spread = np.sum(deviations**2) * (len(rewards) / (len(rewards) - 1)) ** 2
    return effects, max(0.0, float(1 - error / spread))
