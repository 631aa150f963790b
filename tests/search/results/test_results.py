"""What a search leaves to read: rows, lines and pictures."""

import csv
import io

import numpy as np
import optuna
import pytest
from PIL import Image

from keras_effnetv2.search.results import figures
from keras_effnetv2.search.results.figures import draw_figures
from keras_effnetv2.search.results.importance import Importance, measure_importance
from keras_effnetv2.search.results.search_progress import SearchProgress
from keras_effnetv2.search.results.trials import (
    best_result,
    best_trades,
    read_results,
    write_results,
)
from keras_effnetv2.search.sampling.samplers import create_sampler
from keras_effnetv2.search.studies.study import SCREENED, open_study
from keras_effnetv2.search.studies.workers import CandidateError, run_worker

DECISIONS = {"operator": ("mbconv", "fused_mbconv"), "kernel": (3, 5), "idle": (0, 1)}


def objective(trial, point):
    """The operator is worth 0.2, the kernel 0.1; 2 fails, 3 is pruned, 4 screened."""
    if trial.number == 2:
        raise CandidateError("out of memory")
    if trial.number == 3:
        trial.report(0.25, 1)
        raise optuna.TrialPruned
    if trial.number == 4:
        trial.set_user_attr("predicted_step_ratio", 2.345)
        trial.set_user_attr(SCREENED, True)
        trial.report(-2.345, 0)
        raise optuna.TrialPruned
    reward = 0.5 + 0.2 * (point["operator"] == "mbconv") + 0.05 * (point["kernel"] - 3)
    trial.set_user_attr("accuracy", reward + 0.1)
    trial.set_user_attr("step_seconds", 0.01 * (1 + trial.number % 4))
    trial.set_user_attr("step_spread", 0.001)
    trial.set_user_attr("parameters", 1000 * (1 + trial.number))
    return reward


@pytest.fixture
def study():
    return open_study(None, DECISIONS, {}, create_sampler("random", 0))


def test_results_have_a_row_a_trial(study, tmp_path):
    run_worker(study, objective, 6)
    study.enqueue_trial({"operator": "mbconv"})  # Nothing is known of it yet.
    write_results(study, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = [
        "number",
        "state",
        *DECISIONS,
        "accuracy",
        "step_seconds",
        "step_spread",
        "predicted_step_ratio",
        "parameters",
        "reward",
        "duration",
        "failure",
        "best_trade",
    ]
    assert list(rows[0]) == columns
    assert [row["number"] for row in rows] == [str(number) for number in range(6)]
    assert [row["state"] for row in rows] == [
        "complete",
        "complete",
        "failed",
        "pruned",
        "screened",
        "complete",
    ]
    for row, trial in zip(rows, study.trials, strict=False):
        assert row["operator"] == trial.params["operator"]
    assert rows[2]["failure"] == "out of memory" and rows[2]["reward"] == ""
    assert rows[3]["accuracy"] == "0.25" and rows[3]["reward"] == ""
    assert rows[4]["predicted_step_ratio"] == "2.345" and rows[4]["accuracy"] == ""
    assert float(rows[1]["reward"]) == study.trials[1].value
    assert rows[1]["step_spread"] == "0.001" and rows[2]["step_spread"] == ""
    assert rows[1]["parameters"] == "2000" and float(rows[1]["duration"]) >= 0
    best = best_result(read_results(study))
    assert best.reward == study.best_value and best.number == study.best_trial.number


def test_progress_counts_the_trials_of_all_workers(study):
    stream = io.StringIO()
    run_worker(study, objective, 2)
    run_worker(study, objective, 6, SearchProgress(12, stream))
    lines = stream.getvalue().splitlines()
    assert all(f"{num}/12" in line for num, line in enumerate(lines, start=3))
    assert ["1 screened" in line for line in lines] == [False, False, True, True]
    assert "trial 2: failed (out of memory)" in lines[0]
    assert "trial 3: pruned" in lines[1]
    assert "trial 4: screened" in lines[2] and "2.35 times" in lines[2]
    best = max(
        trial.value for trial in study.trials if trial.value and trial.number != 3
    )
    assert f"best {best:.4f}" in lines[3] and "accuracy" in lines[3]
    assert all("left" in line for line in lines)


def test_importance_is_that_of_the_reward(study):
    run_worker(study, objective, 40)
    importance = measure_importance(read_results(study))
    assert list(importance.shares) == ["operator", "kernel", "idle"]
    # Of effects 0.2 and 0.1, the variances are as 4 to 1.
    assert importance.shares["operator"] == pytest.approx(0.8, abs=0.01)
    assert importance.shares["idle"] == pytest.approx(0, abs=0.01)
    assert importance.explained == pytest.approx(1, abs=0.01)
    assert importance.best_choices["operator"] == "mbconv"
    assert importance.best_choices["kernel"] == 5


def test_importance_of_noise_is_not_explained(study):
    rng = np.random.default_rng(0)
    run_worker(study, lambda trial, point: rng.normal(), 40)
    assert measure_importance(read_results(study)).explained < 0.1


def test_importance_needs_differences(study):
    run_worker(study, lambda trial, point: 0.5, 5)
    results = read_results(study)
    assert measure_importance(results) is None
    assert measure_importance(results[:1]) is None is measure_importance([])


def test_pictures(study, tmp_path):
    pytest.importorskip("matplotlib")
    run_worker(study, objective, 12)
    paths = draw_figures(read_results(study), tmp_path, "digits")
    assert [path.name for path in paths] == [
        "rewards.png",
        "front.png",
        "importance.png",
    ]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG" and picture.width > 900


def test_the_best_choice_stands_within_the_frame():
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots()
    name = "stage1/expand_ratio"
    importance = Importance({name: 1.0}, {name: "fused_mbconv"}, 1.0)
    figures._draw_importance(axes, importance)
    figure.draw_without_rendering()
    (label,) = axes.texts
    assert label.get_window_extent().x1 < axes.get_window_extent().x1


def test_pictures_of_what_there_is(study, tmp_path):
    pytest.importorskip("matplotlib")
    assert draw_figures(read_results(study), tmp_path, "none") == []
    run_worker(study, lambda trial, point: trial.number / 10, 4)
    paths = draw_figures(read_results(study), tmp_path, "no measurements")
    assert [path.name for path in paths] == ["rewards.png", "importance.png"]


def test_the_best_trades_are_marked(tmp_path):
    study = open_study(None, {"layers": (1, 2, 3)}, {}, create_sampler("random", 0))
    seconds = iter([2.0, 1.0, 3.0])

    def objective(trial, point):
        measured = {"accuracy": 0.5, "step_seconds": next(seconds), "parameters": 7}
        for name, value in measured.items():
            trial.set_user_attr(name, value)
        return 0.5

    run_worker(study, objective, 3)
    assert [x.number for x in best_trades(read_results(study))] == [1]
    write_results(study, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["best_trade"] for row in rows] == ["False", "True", "False"]
