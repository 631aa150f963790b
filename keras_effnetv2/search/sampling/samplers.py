"""Samplers of a search: REINFORCE, and Optuna's own for comparison.

Every draw depends on the seed and the number of the trial, never on earlier draws of
the process: workers with one seed draw different points, and a stopped study resumes as
if it had not been stopped.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from keras_effnetv2.errors import InputError
from keras_effnetv2.search.sampling.policy import Choice, Policy
from keras_effnetv2.search.studies.study import is_screened

# A trial without a reward counts as this quantile of the rewards so far: a failed one,
# or one too slow to be trained, as the worst; a pruned one was below the median, so it
# counts as the middle of that half.
_QUANTILES = {TrialState.FAIL: 0.0, TrialState.PRUNED: 0.25}
_FINISHED = (TrialState.COMPLETE, *_QUANTILES)


class ReinforceSampler(optuna.samplers.BaseSampler):
    """Policy gradient over categorical decisions.

    The policy has no state of its own. It follows from the finished trials, in order of
    completion, so it is the same for any number of workers, on any machine, now or
    after a restart. For the update, see `Policy`. MnasNet's
    (https://arxiv.org/abs/1807.11626, Section 4.2) is a recurrent network, trained by
    PPO over thousands of trials; a search on one machine has hundreds.

    Args:
        seed: seed of the draws.
        learning_rate: learning rate of the policy's logits.
        baseline_momentum: momentum of the moving averages of rewards, per trial.
        entropy_weight: weight of the bonus that keeps the policy exploring.

    Raises:
        ValueError: see `Policy`.
    """

    # Chosen on synthetic rewards that no test uses (tests/search/sampling/planted.py).
    def __init__(
        self,
        seed: int,
        learning_rate: float = 0.5,
        baseline_momentum: float = 0.9,
        entropy_weight: float = 0.1,
    ) -> None:
        self._seed = _checked_seed(seed)
        self._new_policy = lambda: Policy(
            learning_rate, baseline_momentum, entropy_weight
        )
        self._policy = self._new_policy()
        self._learned: list[int] = []  # Numbers of trials, in the order learned.
        self._rewards: list[float] = []  # Of those that were completed.

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """No decisions: they are independent. Optuna asks once, as a trial starts."""
        self._learn(study)
        return {}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Nothing; see `infer_relative_search_space`."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Choice:
        """A choice, drawn from the policy as it was when the trial started.

        Raises:
            ValueError: not a decision between choices.
        """
        if not isinstance(param_distribution, CategoricalDistribution):
            raise InputError(
                "REINFORCE decides between choices: use trial.suggest_categorical. "
                f"Received: {param_name} of {param_distribution}."
            )
        choices = param_distribution.choices
        shares = self._policy.shares(param_name, choices)
        # By name, not by order: an objective may ask for its decisions in any order.
        name = zlib.crc32(param_name.encode())
        rng = np.random.default_rng([self._seed, trial.number, name])
        return choices[rng.choice(len(choices), p=shares)]

    def _learn(self, study: optuna.Study) -> None:
        """Brings the policy up to date with the study."""
        trials = sorted(
            study.get_trials(deepcopy=False, states=_FINISHED),
            key=lambda trial: (trial.datetime_complete, trial.number),
        )
        numbers = [trial.number for trial in trials]
        num_learned = len(self._learned)
        # With another machine's clock, a trial may come before those already learned.
        if numbers[:num_learned] != self._learned:
            num_learned, self._policy, self._rewards = 0, self._new_policy(), []
        for trial in trials[num_learned:]:
            self._learn_trial(trial)
        self._learned = numbers

    def _learn_trial(self, trial: FrozenTrial) -> None:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            reward = trial.value
            self._rewards.append(reward)
        elif self._rewards:
            quantile = 0.0 if is_screened(trial) else _QUANTILES[trial.state]
            reward = float(np.quantile(self._rewards, quantile))
        else:
            return
        choices = {
            name: distribution.choices
            for name, distribution in trial.distributions.items()
            if isinstance(distribution, CategoricalDistribution)
        }
        self._policy.learn(choices, trial.params, reward)


class NumberedSampler(optuna.samplers.BaseSampler):
    """An Optuna sampler whose draws depend only on the seed and the trial's number.

    Optuna's own samplers draw from one generator in sequence: two workers with one seed
    would draw the same points, and so would a study after a restart.

    Args:
        create: makes the sampler from a seed, `uint32`.
        seed: seed of the draws.
    """

    def __init__(
        self, create: Callable[[int], optuna.samplers.BaseSampler], seed: int
    ) -> None:
        self._create = create
        self._seed = _checked_seed(seed)
        self._use(0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Starts the draws of a trial from its number, whatever was drawn before."""
        self._use(trial.number)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The decisions that the sampler draws together."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """A choice for each decision of `infer_relative_search_space`."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A choice for any other decision."""
        return self._sampler.sample_independent(
            study, trial, param_name, param_distribution
        )

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Lets the sampler note how a trial ended."""
        self._sampler.after_trial(study, trial, state, values)

    def _use(self, number: int) -> None:
        sequence = np.random.SeedSequence([self._seed, number])
        self._sampler = self._create(int(sequence.generate_state(1)[0]))


_OPTUNA = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}
SAMPLERS = ("reinforce", *_OPTUNA)
"""Names of the samplers that a search may use."""


def create_sampler(
    name: str, seed: int, **options: float
) -> optuna.samplers.BaseSampler:
    """A sampler by its name, one of `SAMPLERS`.

    Args:
        name: name of the sampler.
        seed: seed of its draws, from 0.
        options: arguments of `ReinforceSampler`, only for "reinforce".

    Raises:
        ValueError: unknown name, a negative seed, or options of another sampler.
    """
    if name == "reinforce":
        return ReinforceSampler(seed, **options)
    if name not in _OPTUNA:
        raise InputError(
            f"Unknown sampler. Expected one of {', '.join(SAMPLERS)}. Received: "
            f"{name!r}."
        )
    if options:
        raise InputError(
            f"The sampler {name!r} has no options. Received: {', '.join(options)}."
        )
    return NumberedSampler(_OPTUNA[name], seed)


def _checked_seed(seed: int) -> int:
    if seed < 0:
        raise InputError(f"Seeds are 0 or more. Received: seed={seed}.")
    return seed
