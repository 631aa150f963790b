"""A policy over independent decisions, trained by REINFORCE."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from keras_effnetv2.errors import InputError

Choice = None | bool | int | float | str  # The types that Optuna supports.


class Policy:
    """A softmax for every decision, trained on the rewards of whole points.

    REINFORCE (Williams 1992, https://doi.org/10.1007/BF00992696) with a moving average
    of the rewards as baseline and an entropy bonus; independent softmaxes instead of a
    recurrent controller, as in TuNAS (Bender et al. 2020,
    https://arxiv.org/abs/2008.06120). The advantage is divided by its moving root mean
    square, so that the learning rate does not depend on the reward's scale.

    Args:
        learning_rate: learning rate of the logits.
        baseline_momentum: momentum of both moving averages, per update; from 0 to less
            than 1. They start as plain averages.
        entropy_weight: weight of the bonus, in units of the normalized advantage.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self, learning_rate: float, baseline_momentum: float, entropy_weight: float
    ) -> None:
        if not (
            learning_rate > 0 and 0 <= baseline_momentum < 1 and entropy_weight >= 0
        ):
            raise InputError(
                "Expected learning_rate above 0, baseline_momentum from 0 to less than "
                f"1, and entropy_weight of 0 or more. Received: {learning_rate}, "
                f"{baseline_momentum} and {entropy_weight}."
            )
        self._learning_rate = learning_rate
        self._momentum = baseline_momentum
        self._entropy_weight = entropy_weight
        self._logits: dict[str, np.ndarray] = {}
        self._num_rewards = 0
        self._baseline = 0.0
        self._variance = 0.0

    def shares(self, name: str, choices: Sequence[Choice]) -> np.ndarray:
        """Probabilities `(choices,)` of a decision; equal if nothing was learned."""
        logits = self._logits.get(name)
        if logits is None:
            return np.full(len(choices), 1 / len(choices))
        return _softmax(logits)

    def learn(
        self,
        decisions: Mapping[str, Sequence[Choice]],
        point: Mapping[str, Choice],
        reward: float,
    ) -> None:
        """Makes the choices of a point likelier if its reward beats the baseline.

        Args:
            decisions: name -> choices.
            point: name -> the choice that earned the reward.
            reward: reward of the point.
        """
        advantage = self._advantage(reward)
        for name, choice in point.items():
            choices = tuple(decisions[name])
            logits = self._logits.setdefault(name, np.zeros(len(choices)))
            shares = _softmax(logits)
            # d log p(choice) / d logits, and d entropy / d logits.
            score = -shares
            score[choices.index(choice)] += 1
            surprise = np.log(shares)
            entropy_slope = -shares * (surprise - shares @ surprise)
            logits += self._learning_rate * (
                advantage * score + self._entropy_weight * entropy_slope
            )

    def _advantage(self, reward: float) -> float:
        """The normalized advantage over the baseline; then updates the averages."""
        self._num_rewards += 1
        difference = reward - self._baseline
        if self._num_rewards == 1:  # Nothing to compare with.
            self._baseline = reward
            return 0.0
        rate = max(1 - self._momentum, 1 / (self._num_rewards - 1))
        self._variance += rate * (difference**2 - self._variance)
        self._baseline += max(1 - self._momentum, 1 / self._num_rewards) * difference
        return difference / math.sqrt(self._variance) if self._variance else 0.0


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, none so small that its logarithm would be infinite."""
    powers = np.exp(np.maximum(logits - logits.max(), -30))
    return powers / powers.sum()
