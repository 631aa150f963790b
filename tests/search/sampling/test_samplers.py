"""Samplers on a planted reward, and on studies with all sorts of trials."""

import datetime
import functools

import numpy as np
import optuna
import pytest

from keras_effnetv2.search.sampling.policy import Policy
from keras_effnetv2.search.sampling.samplers import SAMPLERS, create_sampler
from keras_effnetv2.search.studies.study import SCREENED, open_study
from tests.search.sampling.planted import DECISIONS, PlantedReward, noisy, to_indices

SEEDS = range(5)
SMALL = {"operator": ("a", "b"), "layers": (1, 2, 3)}


@functools.cache
def search(name, seed, num_trials=300):
    """Rewards without noise: of all trials in order, and of the one that looked best.

    Each seed has its own reward, noise and draws.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    planted = PlantedReward(seed)
    sampler = create_sampler(name, seed)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    objective = noisy(planted, seed)
    study.optimize(lambda trial: objective(trial, suggest(trial)), num_trials)
    rewards = [float(planted(to_indices(trial.params))[0]) for trial in study.trials]
    return rewards, rewards[study.best_trial.number]


def suggest(trial, decisions=DECISIONS):
    return {name: trial.suggest_categorical(name, c) for name, c in decisions.items()}


@pytest.mark.slow
def test_reinforce_finds_the_top_percent():
    found = [
        search("reinforce", seed)[1] > PlantedReward(seed).quantile(0.01)
        for seed in SEEDS
    ]
    assert sum(found) >= 4, found


@pytest.mark.long
def test_reinforce_beats_random():
    margins = [search("reinforce", s)[1] - search("random", s)[1] for s in SEEDS]
    assert np.median(margins) > 0
    medians = [
        np.median([search(name, seed)[1] for seed in SEEDS])
        for name in ("reinforce", "random")
    ]
    assert medians[0] > medians[1]


@pytest.mark.long
@pytest.mark.parametrize("name", ["reinforce", "random"])
def test_searching_longer_improves(name):
    """The best of 300 trials exceeds that of the first 20, noise or not."""
    gains = [max(search(name, s)[0]) - max(search(name, s)[0][:20]) for s in SEEDS]
    assert np.median(gains) > 0 and min(gains) >= 0


@pytest.mark.long
def test_what_reinforce_samples_improves_and_random_does_not():
    def gain(name):
        rewards = np.array([search(name, seed)[0] for seed in SEEDS])
        return rewards[:, -50:].mean() - rewards[:, :50].mean()

    assert gain("reinforce") > 0.05
    assert abs(gain("random")) < 0.02


@pytest.mark.parametrize("name", SAMPLERS)
def test_draws_follow_from_seed_and_number(name):
    def points(seed):
        study = open_study(None, SMALL, {}, create_sampler(name, seed))
        study.optimize(lambda t: float(suggest(t, SMALL)["layers"]), 15)
        return [trial.params for trial in study.trials]

    assert points(1) == points(1) != points(2)
    assert len({tuple(point.items()) for point in points(1)}) > 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_workers_with_one_seed_draw_different_points(name):
    """Two processes have a sampler each; neither repeats the other's draws."""
    study = open_study(None, DECISIONS, {}, create_sampler(name, 0))
    first = suggest(study.ask())
    study.sampler = create_sampler(name, 0)
    assert suggest(study.ask()) != first


def shares(study):
    """Of the choices of the operator, as a trial that starts now draws them."""
    study.sampler.infer_relative_search_space(study, None)
    return study.sampler._policy.shares("operator", SMALL["operator"]).tolist()


def test_the_policy_follows_from_the_study_alone():
    """Failed and pruned trials included; in whatever portions it is learned."""
    study = open_study(None, SMALL, {}, create_sampler("reinforce", 0))
    states = optuna.trial.TrialState
    for number in range(30):
        trial = study.ask()
        reward = float(suggest(trial, SMALL)["operator"] == "b") + number / 100
        if number % 5 == 3:
            study.tell(trial, state=states.FAIL)
        elif number % 5 == 4:
            trial.report(0.5, 1)
            study.tell(trial, state=states.PRUNED)
        else:
            study.tell(trial, reward)
    learned = shares(study)
    study.sampler = create_sampler("reinforce", 7)
    assert shares(study) == learned
    assert learned[1] > 0.6


def test_a_trial_that_ends_before_what_is_learned_is_learned_in_its_place():
    """As another machine's clock may have it."""
    study = open_study(None, SMALL, {}, create_sampler("reinforce", 0))
    for _ in range(10):
        trial = study.ask()
        study.tell(trial, float(suggest(trial, SMALL)["operator"] == "b"))
    before = shares(study)
    first = study.trials[0]
    earlier = optuna.trial.create_trial(
        params=first.params, distributions=first.distributions, value=9.0
    )
    earlier.datetime_complete = first.datetime_complete - datetime.timedelta(hours=1)
    study.add_trial(earlier)
    found = shares(study)
    study.sampler = create_sampler("reinforce", 0)
    assert shares(study) == found != before


def tell_screened(study, trial):
    """As the objective does; more layers take more time."""
    trial.set_user_attr(SCREENED, True)
    trial.report(-trial.params["layers"], 0)
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)


def tell_failed(study, trial):
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


@pytest.mark.parametrize("tell", [tell_failed, tell_screened])
def test_what_has_no_reward_teaches_to_avoid(tell):
    study = open_study(None, SMALL, {}, create_sampler("reinforce", 0))
    for _ in range(60):
        trial = study.ask()
        if suggest(trial, SMALL)["operator"] == "a":
            tell(study, trial)
        else:
            study.tell(trial, 0.5 + 0.01 * trial.params["layers"])
    assert shares(study)[1] > 0.8


def layers_among_screened_trials(name, seed):
    """Of 80 trials, of which none has a reward for longer than samplers draw at random.

    What the samplers know is which trials were screened: those of more layers than 1.
    """
    study = open_study(None, SMALL, {}, create_sampler(name, seed))
    for number in range(80):
        trial = study.ask()
        layers = suggest(trial, SMALL)["layers"]
        if number < 55 or layers > 1:
            tell_screened(study, trial)
        else:
            study.tell(trial, 0.5)
    assert study.best_value == 0.5
    return [trial.params["layers"] for trial in study.trials]


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_go_on_among_screened_trials(name):
    assert set(layers_among_screened_trials(name, 0)[:55]) == {1, 2, 3}


def test_tpe_learns_before_there_is_a_reward():
    shares = [
        layers_among_screened_trials("tpe", seed)[15:55].count(1) / 40
        for seed in range(5)
    ]
    assert np.median(shares) > 0.6  # By chance: a third.


def test_a_policy_ignores_the_scale_of_rewards():
    def learned(scale, shift):
        policy = Policy(0.5, 0.9, 0.1)
        for choice, reward in zip("abbaab", [1, 2, 3, 1, 0, 2], strict=True):
            policy.learn({"x": "ab"}, {"x": choice}, scale * reward + shift)
        return policy.shares("x", "ab")[1]

    assert learned(1, 0) == pytest.approx(learned(1000, -7))
    assert learned(1, 0) > 0.6


def test_the_first_update_is_reinforce_by_hand():
    policy = Policy(learning_rate=0.5, baseline_momentum=0.9, entropy_weight=0.0)
    policy.learn({"x": "ab"}, {"x": "a"}, 1.0)  # The baseline becomes 1.
    assert policy.shares("x", "ab").tolist() == [0.5, 0.5]
    policy.learn({"x": "ab"}, {"x": "b"}, 3.0)  # Advantage 2, over its root of 4.
    # Logits 0.5 * (-0.5, 0.5): half a unit apart.
    assert policy.shares("x", "ab")[1] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_the_entropy_bonus_draws_back_to_even():
    """Rewards that all are equal have no advantage; only the bonus acts."""
    policy = Policy(learning_rate=0.5, baseline_momentum=0.9, entropy_weight=1.0)
    for choice, reward in zip("ab", (0.0, 1.0), strict=True):
        policy.learn({"x": "ab"}, {"x": choice}, reward)
    start = policy.shares("x", "ab")[1]
    for _ in range(200):
        policy.learn({"x": "ab"}, {"x": "b"}, policy._baseline)
    assert start > 0.6 > 0.51 > policy.shares("x", "ab")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "anneal"}, "reinforce, random, tpe, nsga2. Received: 'anneal'"),
        ({"name": "random", "learning_rate": 1.0}, "has no options"),
        ({"name": "reinforce", "learning_rate": 0.0}, "learning_rate above 0"),
        ({"name": "reinforce", "baseline_momentum": 1.0}, "to less than 1"),
        ({"name": "tpe", "seed": -1}, "seed=-1"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_sampler(**{"seed": 0, **arguments})


def test_reinforce_wants_choices():
    study = open_study(None, SMALL, {}, create_sampler("reinforce", 0))
    with pytest.raises(ValueError, match="suggest_categorical"):
        study.ask().suggest_float("width", 0.5, 2.0)
