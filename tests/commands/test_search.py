"""`search`: studies go on, the winner is a file, bad input is one line."""

import csv
import dataclasses
import importlib
import pathlib
import shutil
import sys

import pytest

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.search import confirm, objective, open_search, searches
from keras_effnetv2.search.costs import screening
from keras_effnetv2.search.evaluator import Evaluator
from keras_effnetv2.search.named_searches import SEARCHES
from keras_effnetv2.search.objective import SearchObjective
from keras_effnetv2.search.reward import Measurement
from keras_effnetv2.search.studies import processes
from keras_effnetv2.search.studies.workers import CandidateError
from tests.commands.running import run_command
from tests.search import test_evaluator

QUICK = ("epochs=1", "progressive.num_stages=1", "data.train_split=train[:64]")


def run(*flags):
    return run_command("search", *flags)


@pytest.fixture
def small(monkeypatch):
    """The name of a search whose candidates take seconds."""
    monkeypatch.setitem(SEARCHES, "small", test_evaluator.search(*QUICK))
    return "small"


@pytest.fixture
def planted(monkeypatch):
    """Candidates are not trained: what is measured follows from their blocks."""

    def accuracy(self, variant, seed=None, report=None):
        return 0.5 + sum(spec.num_repeats for spec in variant.blocks) / 10

    def measure(self, variant, accuracy, study):
        return Measurement(accuracy, 0.1, 7, 0.01), accuracy

    monkeypatch.setattr(Evaluator, "accuracy", accuracy)
    monkeypatch.setattr(SearchObjective, "measure", measure)


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(searches, "draw_figures", lambda *_: None)


def read_rows(folder):
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "is_trained", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_a_search_and_its_continuation(small, tmp_path, capsys, request, is_trained):
    if not is_trained:
        request.getfixturevalue("planted")
    flags = ("--experiment", small, "--study", tmp_path / "small.journal")
    assert run(*flags, "--trials", 1, "--sampler", "random") == 0
    (first,) = read_rows(tmp_path / "small")
    assert float(first["step_spread"]) > 0
    request.getfixturevalue("planted")  # One that was trained is enough.
    assert run(*flags, "--trials", 2, "--sampler", "random") == 0
    rows = read_rows(tmp_path / "small")
    first.pop("best_trade")  # It may be beaten now.
    assert first.items() <= rows[0].items() and len(rows) == 2
    assert {path.name for path in (tmp_path / "small").iterdir()} >= {
        "results.csv", "rewards.png", "front.png", "found.json",
    }  # fmt: skip
    winner = max(rows, key=lambda row: float(row["reward"]))
    found = get_variant(str(tmp_path / "small" / "found.json"))
    assert found.blocks[0].operator == winner["stage1/operator"]
    assert found.train_size == found.eval_size == SEARCHES[small].training.eval_size
    assert "trials 2/2" in capsys.readouterr().err
    # Nothing is left to do, or another sampler's.
    assert run(*flags, "--trials", 2, "--sampler", "random") == 0
    assert run(*flags, "--trials", 2, "--sampler", "reinforce") == 2
    assert "another study" in capsys.readouterr().err


def test_slow_candidates_are_screened_and_the_search_goes_on(
    small, planted, no_figures, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(objective, "CostTable", test_evaluator.Table)
    flags = ("--experiment", small, "--study", tmp_path / "a.db")
    assert run(*flags, "--screen", "2", "--trials", 5) == 0
    assert run(*flags, "--screen", "2", "--trials", 12) == 0
    rows = read_rows(tmp_path / "a")
    assert len(rows) == 12
    for row in rows:
        is_slow = row["stage1/operator"] == "fused_mbconv"
        assert row["state"] == ("screened" if is_slow else "complete")
        assert (row["reward"] == "") == is_slow
        assert float(row["predicted_step_ratio"]) == (3 if is_slow else 1.5)
    num = sum(row["state"] == "screened" for row in rows)
    output = capsys.readouterr()
    assert 0 < num < 12
    assert f"trials 12/12  {num} screened" in output.err
    assert f"Screened: {num} of 12 candidates" in output.out
    assert run(*flags, "--trials", 12) == 2
    assert "settings: screen is 2.0 there and None now" in capsys.readouterr().err


def test_a_ratio_that_no_candidate_has_is_refused(
    small, planted, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(objective, "CostTable", test_evaluator.Table)
    monkeypatch.setattr(screening, "_PATIENCE", 50)
    flags = ("--experiment", small, "--study", tmp_path / "a.db", "--screen", 0.5)
    assert run(*flags, "--trials", 2) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "Only 0 of 1 points with 0.5 times" in error
    assert not open_search(
        dataclasses.replace(SEARCHES[small], screen=0.5), tmp_path / "a.db"
    ).trials


@pytest.mark.parametrize("study", ["a.journal", "a.db"])
def test_searches_by_name_share_a_file(
    small, planted, no_figures, tmp_path, capsys, study
):
    flags = ("--experiment", small, "--study", tmp_path / study)
    assert run(*flags, "--trials", 1) == 0
    assert (
        run(*flags, "--trials", 2, "--study_name", "wide", "--sampler", "random") == 0
    )
    assert run(*flags, "--trials", 3) == 0
    assert len(read_rows(tmp_path / "a")) == 3
    assert len(read_rows(tmp_path / "a" / "wide")) == 2
    capsys.readouterr()
    assert run(*flags, "--trials", 3, "--study_name", "wide", "--sampler", "tpe") == 2
    error = capsys.readouterr().err
    assert "study 'wide' has other settings: sampler is 'random'" in error
    assert error.count("\n") == 1


def test_only_the_first_process_writes_what_workers_found(
    small, planted, no_figures, tmp_path, capsys, monkeypatch
):
    flags = ["--experiment", small, "--study", str(tmp_path / "small.journal")]
    flags += ["--trials", "1", "--sampler", "random", "--workers", "2", "--confirm=0"]
    output = tmp_path / "small"

    def run_workers(command, num_workers, gpus):
        assert num_workers == 2
        assert gpus == processes.visible_gpus()
        assert command[1:4] == ["-m", "keras_effnetv2", "search"]
        assert run(*command[4:]) == 0
        assert not list(output.iterdir())
        assert not capsys.readouterr().out

    monkeypatch.setattr(processes, "run_workers", run_workers)
    monkeypatch.setattr("sys.argv", ["keras_effnetv2", "search", *flags])
    assert run(*flags) == 0
    assert (output / "results.csv").exists() and (output / "found.json").exists()
    assert capsys.readouterr().out.count("found.json") == 1


def test_workers_that_fail_end_in_one_line(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    flags = ("--experiment", small, "--study", tmp_path / "s.journal", "--workers", 2)
    assert run(*flags) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("error: 2 of 2 workers failed")
    )


def test_missing_packages_are_named(monkeypatch):
    for name in [x for x in sys.modules if x.startswith("keras_effnetv2.search")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("keras_effnetv2.search", None)  # Until after the test.
    monkeypatch.setitem(sys.modules, "optuna", None)
    search = importlib.import_module("keras_effnetv2.search")
    assert search.Space.of("efficientnetv2-b0")
    with pytest.raises(ImportError) as error:
        _ = search.run_search
    assert str(error.value) == (
        "keras_effnetv2.search needs optuna: pip install 'keras_effnetv2[search]'."
    )


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--experiment", "x", "--study", "s.journal"], "Unknown search 'x'"),
        (["--experiment", "small", "--study", "s.txt"], ".txt does not tell the kind"),
        (["--experiment", "small", "--study", "x://h/s"], "--output is needed"),
        (
            ["--experiment", "small", "--study", "s.db", "--workers", 0],
            "--workers must be at least 1",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--confirm", -1],
            "--confirm must be at least 0",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--screen", "0"],
            "screen must be above 0, relative to the backbone's step. Received: 0.0",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--study_name", "../up"],
            "name must consist of letters",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--set", "epoch=2"],
            "No setting is called 'epoch'",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--set", "model.weights=x.h5"],
            "model.weights cannot be set",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--trials", "-1"],
            "A search needs trials. Received: -1",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--trials", "0"],
            "A search needs trials. Received: 0",
        ),
        (
            ["--experiment", "small", "--study", "s.db", "--set", "model.eval_size=4"],
            "Images need at least 8 pixels per side. Received: 4",
        ),
    ],
)
def test_bad_input_is_one_line(small, flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*flags) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert message in error
    # Which would refuse the right settings afterwards.
    assert not pathlib.Path("s.db").exists()


def test_an_unknown_sampler_is_refused(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        run(
            "--experiment", "digits-search", "--study", "s.db", "--sampler", "annealing"
        )
        == 2
    )
    assert "reinforce" in capsys.readouterr().err


def test_a_search_without_a_reward_has_no_winner(
    small, no_figures, tmp_path, monkeypatch, capsys
):
    def accuracy(self, variant, seed=None, report=None):
        raise CandidateError("the loss is nan")

    monkeypatch.setattr(Evaluator, "accuracy", accuracy)
    study = tmp_path / "a.journal"
    flags = ("--trials", "2", "--study", study, "--confirm", "1")
    assert run("--experiment", small, *flags) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "No trial has a reward yet."
    assert [row["state"] for row in read_rows(tmp_path / "a")] == ["failed"] * 2


def test_a_confirmation_ends_in_means_of_backbone_and_winner(
    small, no_figures, tmp_path, monkeypatch, capsys
):
    """Rewards follow from the seed alone: 1000 or 1001 in confirmations."""

    def accuracy(self, variant, seed=None, report=None):
        return 0.5 if seed is None else 0.5 + (seed - 1000) / 10

    def measure(self, variant, accuracy, study):
        return Measurement(accuracy, 0.1, 7, 0.01), accuracy

    monkeypatch.setattr(Evaluator, "accuracy", accuracy)
    monkeypatch.setattr(SearchObjective, "measure", measure)
    study = tmp_path / "a.journal"
    flags = ("--trials", "2", "--study", study, "--confirm", "2")
    assert run("--experiment", small, *flags) == 0
    *each, backbone, winner = capsys.readouterr().out.splitlines()[-6:]
    rewards = [line.partition(", ")[0] for line in each]
    assert [x.partition(": ")[2] for x in rewards] == [
        f"reward 0.{digits}" for digits in (5000, 5000, 6000, 6000)
    ]
    name = SEARCHES[small].space.backbone.name
    assert backbone == f"{name}: reward 0.5500 ± 0.0707"
    assert winner.endswith("-found: reward 0.5500 ± 0.0707")


def test_a_confirmation_that_diverges_is_said_and_the_rest_goes_on(
    small, tmp_path, monkeypatch
):
    search = SEARCHES[small]
    study = open_search(search, None, "random")

    def accuracy(self, variant, seed):
        if variant.name == "bad":
            raise CandidateError("the loss is nan")
        return 0.5

    monkeypatch.setattr(Evaluator, "accuracy", accuracy)
    measured = Measurement(0.5, 0.1, 7), 0.4
    monkeypatch.setattr(SearchObjective, "measure", lambda *_: measured)
    backbone = search.space.backbone
    networks = [dataclasses.replace(backbone, name=name) for name in ("a", "bad")]
    lines = list(map(str, confirm(search, study, networks, 1)))
    assert lines[0].startswith("a: reward 0.4000, accuracy 50.0%")
    assert lines[1] == "bad: the loss is nan (seed 1000)"
