"""The two arms train the same network, and the table says what came of it."""

import sys

import pytest

from keras_effnetv2.training import get_experiment, override
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="module")
def tool():
    from comparisons import finetuning

    return finetuning


def test_arms_differ_in_what_they_start_from_and_how_fast_they_learn(tool):
    base = get_experiment("fashion-mnist")
    scratch, finetuned = (
        override(base, [*tool.SETTINGS, *own]) for own in tool.ARM_SETTINGS.values()
    )
    assert (scratch.model.weights, finetuned.model.weights) == (None, "imagenet")
    assert finetuned.model.variant == "efficientnet-lite0"
    assert finetuned.model.width_coefficient is None
    same = ["model.weights=none", "optimizer.learning_rate=0.003"]
    assert override(finetuned, same) == scratch


def test_the_table_has_means_over_the_seeds(tool):
    runs = [
        [{"eval_accuracy": x, "seconds": 2.0}, {"eval_accuracy": x + 0.2, "seconds": 3}]
        for x in (0.5, 0.6)
    ]
    table = tool.format_results({"scratch": runs})
    assert table.startswith("|  | After 1 epoch | After 2 epochs | Seconds |")
    assert table.endswith("| from scratch | 55.0% | 75.0% | 5 |")
    kept = tool.kept({"scratch": [[{"epoch": 1, "loss": 2, **runs[0][0]}]]})
    assert kept == {"scratch": [[{"epoch": 1, "seconds": 2.0, "eval_accuracy": 0.5}]]}
