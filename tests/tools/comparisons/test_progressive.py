"""The arms differ in what they are called after, and the arithmetic holds."""

import pathlib

import pytest

from keras_effnetv2.training.experiments.named import get_experiment, override, to_json
from keras_effnetv2.training.reporting.records import Records

TOOLS = str(pathlib.Path(__file__).parents[3] / "tools")
NUM_SEEDS = 2
# Arm -> accuracy and seconds of an epoch that does not trace, for each seed.
MADE_UP = {
    "fixed": [(0.90, 10.0), (0.92, 20.0)],
    "adaptive": [(0.93, 5.0), (0.95, 8.0)],
    "constant": [(0.91, 6.0), (0.91, 12.0)],
}


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from comparisons import progressive

    return progressive


def make_records(arm, accuracy, seconds):
    """Of 6 epochs, evaluated every third; the first of a stage traces for 30 s."""
    length = 6 if arm == "fixed" else 2
    records = []
    for epoch in range(6):
        traces = epoch % length == 0
        record = {
            "epoch": epoch + 1,
            "step": 10 * (epoch + 1),
            "stage": epoch // length + 1,
            "seconds": seconds + 30 * traces,
        }
        if epoch % 3 == 2:
            record["eval_accuracy"] = accuracy - (5 - epoch) / 30
        records.append(record)
    return records


@pytest.fixture
def finished(tool, tmp_path):
    """A folder of finished runs."""
    base = get_experiment(tool.EXPERIMENT)
    for arm, runs in MADE_UP.items():
        for seed, run in enumerate(runs):
            folder = tmp_path / f"{arm}-{seed}"
            folder.mkdir()
            own = [*tool.arm_settings(base, arm), f"seed={seed}"]
            (folder / "config.json").write_text(to_json(override(base, own)))
            (folder / "final.weights.h5").touch()
            for record in make_records(arm, *run):
                Records(folder / "metrics.jsonl").append(record)
    return tmp_path


def stages(tool, arm):
    experiment = get_experiment(tool.EXPERIMENT)
    return override(experiment, tool.arm_settings(experiment, arm)).stages(1000)


def regularization(stage):
    return stage.randaugment_magnitude, stage.dropout_rate, stage.drop_path_rate


def test_the_arms_have_the_same_epochs_and_end_alike(tool):
    ends = set()
    for arm in tool.ARMS:
        last = stages(tool, arm)[-1]
        ends.add((last.end_epoch, last.image_size, regularization(last)))
    assert len(ends) == 1


def test_only_sizes_grow_where_regularization_is_constant(tool):
    adaptive, constant = stages(tool, "adaptive"), stages(tool, "constant")
    sizes = [stage.image_size for stage in constant]
    assert sizes == [stage.image_size for stage in adaptive]
    assert sizes == sorted(set(sizes)) and len(sizes) > 1
    assert {*map(regularization, constant)} == {regularization(adaptive[-1])}
    assert len(stages(tool, "fixed")) == 1


def test_the_table_has_means_deviations_and_ratios_within_seeds(tool, finished):
    found = tool.figures(tool.run_all([], NUM_SEEDS, finished))
    table = tool.progressive_table(found).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in table[2:]]
    assert rows == [
        ["91.00 ± 1.41", "90.0, 92.0", "1.00 ± 0.00", "1.00 ± 0.00"],
        # Of 90 and 150 s: 120 and 138, then 126 and 162.
        ["94.00 ± 1.41", "93.0, 95.0", "1.13 ± 0.29", "0.45 ± 0.07"],
        ["91.00 ± 0.00", "91.0, 91.0", "1.24 ± 0.23", "0.60 ± 0.00"],
    ]


def test_one_seed_has_no_deviation(tool, finished):
    found = tool.figures(tool.run_all([], 1, finished))
    assert "±" not in tool.progressive_table(found)


def test_the_course_is_the_mean_of_seconds_and_accuracies(tool, finished):
    results = tool.run_all([], NUM_SEEDS, finished)
    elapsed, accuracies = tool.mean_course(results["fixed"])
    assert elapsed == [(60 + 90) / 2, (90 + 150) / 2]
    assert accuracies == pytest.approx([81, 91])


def test_it_draws(tool, finished):
    pytest.importorskip("matplotlib")
    tool.draw(
        tool.run_all([], NUM_SEEDS, finished), tool.ARMS, finished / "comparison.png"
    )
    assert (finished / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_finished_runs_with_other_settings_are_refused(tool, finished):
    with pytest.raises(ValueError, match="other settings"):
        tool.run_all(["epochs=7"], NUM_SEEDS, finished)


def test_a_run_that_was_stopped_begins_anew(tool, finished, monkeypatch):
    stopped = finished / "adaptive-1"
    (stopped / "final.weights.h5").unlink()
    commands = []

    def train(command, **_):
        assert not stopped.exists()
        commands.append(command)
        stopped.mkdir()

    monkeypatch.setattr(tool.subprocess, "run", train)
    results = tool.run_all([], NUM_SEEDS, finished)
    ((*_, last_setting),) = commands
    assert last_setting == "seed=1" and results["adaptive"][1] == []
