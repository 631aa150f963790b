"""Steps are timed on the real network, and the device is asked for its instructions."""

import pytest

from keras_effnetv2.finetuning import step_times
from keras_effnetv2.training.devices.strategies import open_devices
from keras_effnetv2.training.progressive.feeding import Feed
from tests.tiny_experiments import tiny_experiment


@pytest.mark.long
def test_a_few_steps_are_timed_of_both_kinds():
    experiment = tiny_experiment(
        "progressive.num_stages=1",
        "optimizer.head_epochs=1",
        "data.train_split=train[:64]",
        "batch_size=32",
    )
    feed = Feed.open(experiment.data, experiment.data.train_split)
    found = step_times.measure_pace(experiment, feed, open_devices("cpu"))
    assert 0 < found.head_step < 5 and 0 < found.step < 5
    assert found.tracing > found.step and found.precision == "float32"


@pytest.mark.parametrize(
    ("line", "has_it"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 sse", True),
        ("flags\t\t: fpu avx2 sse", False),
        ("Features\t: fp asimd bf16 sve", True),
    ],
)
def test_processors_say_whether_they_have_bfloat16(line, has_it, tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{line}\nbugs\t: none of bf16\n")
    monkeypatch.setattr(step_times, "_CPU_INFO", file)
    assert step_times.has_bfloat16("CPU") is has_it


def test_a_processor_that_says_nothing_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(step_times, "_CPU_INFO", tmp_path / "absent")
    assert not step_times.has_bfloat16("CPU")
