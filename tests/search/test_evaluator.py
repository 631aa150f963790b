"""Candidates are trained on some images and measured on others."""

import dataclasses

import numpy as np
import optuna
import pytest

from keras_effnetv2.models import create_model
from keras_effnetv2.networks.architecture import FUSED_MBCONV, MBCONV, BlockSpec
from keras_effnetv2.search import evaluator as evaluator_module
from keras_effnetv2.search import objective as objective_module
from keras_effnetv2.search.costs.step_time import StepTime
from keras_effnetv2.search.evaluator import Evaluator
from keras_effnetv2.search.named_searches import SEARCHES, get_search
from keras_effnetv2.search.objective import SearchObjective, count_parameters
from keras_effnetv2.search.reward import Measurement, reward
from keras_effnetv2.search.studies.workers import CandidateError
from keras_effnetv2.training.experiments.settings import override
from tests.search.points import point_of

SMALL = dataclasses.replace(
    get_search("digits-search").backbone,
    name="two-stages",
    depth_coefficient=1.0,
    blocks=(
        BlockSpec(FUSED_MBCONV, 3, 2, 1, 32, 1),
        BlockSpec(MBCONV, 3, 2, 4, 64, 1, 0.25),
    ),
)
SETTINGS = [
    "data.train_split=train[:512]",
    "data.eval_split=train[1137:1337]",
    "model.eval_size=16",
]


def search(*settings):
    experiment = get_search("digits-search")
    training = override(experiment.training, [*SETTINGS, *settings])
    choices = {"layers": (1, 2)}
    return dataclasses.replace(
        experiment, backbone=SMALL, choices=choices, training=training
    )


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(search("epochs=3").training)


@pytest.fixture(scope="module")
def trained(evaluator):
    epochs = []
    accuracy = evaluator.accuracy(SMALL, report=lambda *x: epochs.append(x))
    return accuracy, epochs


def test_accuracy_is_learned_and_reported(trained):
    accuracy, epochs = trained
    assert accuracy > 0.4  # One of ten by chance.
    assert [epoch for epoch, _ in epochs] == [1, 2, 3]
    assert epochs[-1][1] == accuracy
    assert accuracy * 200 == pytest.approx(round(accuracy * 200))


@pytest.mark.slow
def test_a_loss_that_is_no_number_fails_the_candidate():
    diverging = Evaluator(search("epochs=1", "optimizer.learning_rate=1e30").training)
    with pytest.raises(CandidateError, match="the loss is"):
        diverging.accuracy(SMALL)


def test_too_little_memory_fails_the_candidate(evaluator, monkeypatch):
    def exhausted(*arguments):
        raise MemoryError

    monkeypatch.setattr(Evaluator, "_train", exhausted)
    with pytest.raises(CandidateError, match="out of memory"):
        evaluator.accuracy(SMALL)


@pytest.fixture(scope="module")
def objective():
    return SearchObjective(search("epochs=3"))


@pytest.mark.long
def test_the_reward_is_of_what_is_measured(objective, monkeypatch):
    monkeypatch.setattr(objective.evaluator, "accuracy", lambda *x, **y: 0.75)
    trial = optuna.create_study(direction="maximize").ask()
    point = point_of(SMALL)
    value = objective(trial, point)
    attributes = trial.user_attrs
    assert attributes["accuracy"] == 0.75
    assert attributes["parameters"] == count_parameters(SMALL, 10)
    measured = Measurement(**attributes)
    seconds = trial.study.user_attrs["backbone_step_seconds"]
    backbone = Measurement(0.0, seconds, measured.parameters)
    assert value == pytest.approx(reward(measured, backbone))
    # The candidate is the backbone: only noise is between them.
    assert value == pytest.approx(0.75, rel=0.05)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_accuracy_beside_the_backbone_that_stays(
    objective, trained, monkeypatch
):
    study = optuna.create_study()
    objective.measure(SMALL, 0.5, study)
    accuracy, epochs = trained
    again = []
    train = objective.evaluator.accuracy
    assert train(SMALL, 0, lambda *x: again.append(x)) == accuracy
    assert again == epochs
    monkeypatch.setattr(objective_module, "StepTimer", None)
    measured, _ = objective.measure(SMALL, 0.5, study)
    seconds = study.user_attrs["backbone_step_seconds"]
    assert measured.step_seconds == pytest.approx(seconds, rel=0.7)


class Timer:
    """The backbone takes ever longer, and candidates twice as long, more or less."""

    def __init__(self, seconds):
        self.seconds = seconds

    def measure(self, others):
        self.seconds *= 3
        own = tuple(self.seconds * ratio for ratio in (1.5, 2.0, 3.0))
        backbone = StepTime("S0", (self.seconds,) * 3, "d")
        return [backbone, *(StepTime(x.name, own, "d") for x in others)]


def test_seconds_are_those_of_the_first_backbone_of_the_study(objective, monkeypatch):
    """Other workers, on slower machines, count in them too."""
    study = optuna.create_study()
    for timer in (Timer(1.0), Timer(100.0)):
        monkeypatch.setitem(vars(objective), "_timer", timer)
        for _ in range(2):
            measured, value = objective.measure(SMALL, 0.5, study)
            assert measured.step_seconds == 6
            assert measured.step_spread == pytest.approx(2.25)  # 1.75 to 2.5 times 3.
            assert value == pytest.approx(0.5 * 2**-0.07)


def test_too_little_memory_for_timing_fails_the_candidate(objective, monkeypatch):
    class Exhausted:
        def measure(self, others):
            raise type("ResourceExhaustedError", (Exception,), {})

    monkeypatch.setitem(vars(objective), "_timer", Exhausted())
    with pytest.raises(CandidateError, match="out of memory: ResourceExhausted"):
        objective.measure(SMALL, 0.5, optuna.create_study())


def test_settings_that_do_not_go_together_are_refused_before_any_trial():
    with pytest.raises(
        ValueError, match="warms up for 5 epochs, but training has only"
    ):
        Evaluator(search("epochs=3", "schedule.warmup_epochs=5").training)
    with pytest.raises(ValueError, match="optimizer.head_epochs=2. Set it to 0"):
        Evaluator(search("optimizer.head_epochs=2").training)


def test_candidates_are_trained_with_class_weights(monkeypatch):
    settings = ("epochs=1", "regularization.class_weights=balanced")
    evaluator, counts = Evaluator(search(*settings).training), []

    def build(*_, class_counts=None, **__):
        counts.append(class_counts)
        raise CandidateError("enough is known")

    monkeypatch.setattr(evaluator_module, "build_learner", build)
    with pytest.raises(CandidateError):
        evaluator.accuracy(SMALL)
    assert len(counts[0]) == 10 and sum(counts[0]) == 512
    source = dataclasses.replace(evaluator._feeds[0].source, class_counts=None)
    feed = dataclasses.replace(evaluator._feeds[0], source=source)
    monkeypatch.setattr(
        evaluator_module.feeding, "open_feeds", lambda x: (x, feed, feed)
    )
    with pytest.raises(ValueError, match="Class weights need a source that knows"):
        Evaluator(search(*settings).training)


def test_hopeless_trainings_are_pruned(objective, monkeypatch):
    def accuracy(variant, report):
        report(1, 0.1)
        return 0.1

    monkeypatch.setattr(objective.evaluator, "accuracy", accuracy)
    pruner = optuna.pruners.ThresholdPruner(lower=0.2)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    with pytest.raises(optuna.TrialPruned):
        objective(study.ask(), point_of(SMALL))


class Table:
    """Predicts three times the backbone's step where stage 1 is fused."""

    made = []

    @classmethod
    def of(cls, space, **workload):
        cls.made.append((space, workload))
        return cls()

    def relative(self, variant):
        return 3.0 if variant.blocks[0].operator == FUSED_MBCONV else 1.5


def test_what_is_predicted_to_be_slow_is_not_trained(objective, monkeypatch):
    monkeypatch.setattr(objective_module, "CostTable", Table)
    monkeypatch.setattr(Table, "made", [])
    screening = SearchObjective(dataclasses.replace(objective.search, screen=2))
    monkeypatch.setattr(screening.evaluator, "accuracy", lambda *x, **y: 0.75)
    monkeypatch.setitem(vars(screening), "_timer", Timer(1.0))
    study, point = optuna.create_study(), point_of(SMALL)
    slow, fast = study.ask(), study.ask()
    with pytest.raises(optuna.TrialPruned):
        screening(slow, point)
    assert slow.user_attrs == {"predicted_step_ratio": 3.0, "screened": True}
    assert study.trials[0].intermediate_values == {0: -3.0}  # For TPE.
    assert screening(fast, point | {"stage1/operator": MBCONV}) > 0
    assert fast.user_attrs["predicted_step_ratio"] == 1.5
    assert not fast.user_attrs["screened"] and fast.user_attrs["accuracy"] == 0.75
    # Measured once, of the step that candidates are timed by.
    ((space, workload),) = Table.made
    assert workload.pop("stream") is None and space == screening.space
    assert workload == screening._workload()


@pytest.mark.parametrize("ratio", [0, -1, float("inf"), float("nan")])
def test_candidates_are_screened_by_a_ratio_above_0(ratio):
    with pytest.raises(ValueError, match="screen must be above 0.*Received"):
        dataclasses.replace(get_search("digits-search"), screen=ratio)


@pytest.mark.parametrize("classes", [10, 1000])
def test_parameters_are_those_of_the_network(classes):
    model = create_model(SMALL, weights=None, classes=classes)
    assert count_parameters(SMALL, classes) == model.count_params()


@pytest.mark.parametrize("name", SEARCHES)
def test_named_searches_have_spaces_that_build(name):
    named = get_search(name)
    point = named.space.random(np.random.default_rng(0))
    assert point_of(named.space.variant(point)) == point
    assert named.training.data.eval_split != named.training.data.train_split
    if name != "imagenet-search":  # B4's space has its own coefficients only.
        create_model(named.space.variant(point), weights=None, classes=10)


def test_unknown_searches_are_listed():
    with pytest.raises(ValueError, match="digits-search, fashion-mnist-search"):
        get_search("cifar-search")
