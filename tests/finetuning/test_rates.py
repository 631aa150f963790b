"""A fine-tuning takes the learning rate that a sweep suggests, where it is asked to."""

import json

import pytest

from keras_effnetv2 import finetune
from keras_effnetv2.errors import InputError
from keras_effnetv2.finetuning.options import Options
from keras_effnetv2.finetuning.plan import Pace
from keras_effnetv2.finetuning.rates import plan_sweep
from keras_effnetv2.training.reporting.rate_sweep import RateSweep
from tests.finetuning import pictures


@pytest.fixture(name="result", scope="module")
def fixture_result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rates")
    top = pictures.write(folder / "photos", {"cat": 12, "dog": 12})
    return finetune(top, folder / "run", **pictures.QUICK, find_lr=True)


@pytest.mark.long
def test_the_rate_its_reason_and_its_picture_are_written(result):
    workdir = result.paths["workdir"]
    values = json.loads((workdir / "learning_rates.json").read_text())
    rate, why = RateSweep(tuple(values["rates"]), tuple(values["losses"])).suggest()
    choices = json.loads(result.paths["choices"].read_text())
    (row,) = (x for x in choices["choices"] if x["name"] == "learning rate")
    assert why in row["reason"]
    config = json.loads(result.paths["config"].read_text())
    if rate is not None:
        assert config["optimizer"]["learning_rate"] == rate
    assert row["value"] == f"{config['optimizer']['learning_rate']:.2g}"
    assert result.paths["learning_rates"].read_bytes().startswith(b"\x89PNG")
    report = result.paths["report"].read_text()
    assert "Learning rates" in report and 'class="rates"' in report


@pytest.mark.long
def test_the_same_call_goes_on_without_another_sweep(result, capsys):
    folder = result.paths["workdir"].parent
    before = result.paths["choices"].read_bytes()
    finetune(folder / "photos", folder / "run", **pictures.QUICK, find_lr=True)
    assert "Searching for" not in capsys.readouterr().out
    assert result.paths["choices"].read_bytes() == before
    with pytest.raises(InputError, match="find_lr is True there and False now"):
        finetune(folder / "photos", folder / "run", **pictures.QUICK)


def test_a_sweep_leaves_most_of_the_time_to_the_training():
    slow = plan_sweep(Pace(3.0, 0.5, 10.0), 240)
    assert slow.num_steps == 24 and slow.seconds == pytest.approx(10 + 24 * 1.8)
    assert slow.most_seconds == pytest.approx(1.5 * 24 * 1.8)
    fast = plan_sweep(Pace(0.1, 0.05, 10.0), 240)
    assert fast.num_steps == 60 and fast.seconds == pytest.approx(13.6)
    unknown = plan_sweep(Pace(0.0, 0.0, 0.0), 200)
    assert unknown.num_steps == 60 and unknown.most_seconds == 30


def test_a_rate_is_either_found_or_given():
    with pytest.raises(InputError, match="Leave out one of them"):
        Options(find_lr=True, settings=("optimizer.learning_rate=1",))
