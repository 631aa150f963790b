"""Choices follow from images, device and time, and say why."""

import dataclasses

import pytest

from keras_effnetv2.errors import InputError
from keras_effnetv2.finetuning import decisions, draft
from keras_effnetv2.finetuning.backbone import Backbone, choose_backbone
from keras_effnetv2.finetuning.options import Options
from keras_effnetv2.finetuning.plan import Amounts, Pace, plan_epochs
from keras_effnetv2.finetuning.saved_choices import (
    Chosen,
    describe_request,
    read_chosen,
    write_chosen,
)
from keras_effnetv2.training.experiments.image_settings import Data
from tests.data.image_folders import NOT_UTF8
from tests.tiny_networks import NANO_FILE

PACE = Pace(step=1.0, head_step=0.3, tracing=10.0)
AMOUNTS = Amounts(num_train=640, num_validation=160, batch_size=32, full_size=224)
START = Backbone("efficientnetv2-b0", "imagenet", "of a reason", "of another")
NOTHING = Options()
SITUATION = draft.Situation(
    Data("csv", 3, "split.csv", directory="x"),
    *(640, 160, (400, 200, 40), "CPU", True, START),
)


def reasons(options=NOTHING, paces=(PACE,), seconds=300.0, situation=SITUATION):
    experiment, rows, _ = decisions.decide(situation, options, paces, seconds)
    return experiment, {row.name: row for row in rows}


def test_the_more_time_the_more_epochs_and_the_larger_the_images():
    plans = [plan_epochs(AMOUNTS, PACE, seconds) for seconds in (50, 110, 400, 5000)]
    assert [x.sizes[-1] for x in plans] == [128, 160, 224, 224]
    epochs = [x.epochs for x in plans]
    assert epochs[2] >= 8 and epochs[2] < epochs[3] == 40
    for plan, seconds in zip(plans, (50, 110, 400, 5000), strict=True):
        assert plan.fits and plan.seconds <= 0.9 * seconds
        assert 1 <= plan.head_epochs <= max(1, plan.epochs // 3)


def test_no_time_is_one_epoch_that_does_not_fit():
    plan = plan_epochs(AMOUNTS, PACE, -5)
    assert plan.epochs == 1 and not plan.fits


def test_what_is_asked_for_stays():
    plan = plan_epochs(AMOUNTS, PACE, 10, epochs=7, is_size_fixed=True)
    assert plan.epochs == 7 and plan.sizes == (224,)


def test_uneven_classes_are_weighed_and_even_ones_are_not():
    experiment, rows = reasons()
    assert experiment.regularization.class_weights == "balanced"
    assert "10.0 times" in rows["class weights"].reason
    even = dataclasses.replace(SITUATION, class_counts=(220, 210, 210))
    experiment, _ = reasons(situation=even)
    assert experiment.regularization.class_weights == "none"


def test_the_faster_precision_is_taken():
    slower = dataclasses.replace(PACE, step=2.0, precision="mixed_bfloat16")
    experiment, rows = reasons(paces=(PACE, slower))
    assert experiment.model.precision == "float32"
    assert "2,000 ms per step in mixed_bfloat16" in rows["precision"].reason
    faster = dataclasses.replace(slower, step=0.5)
    assert reasons(paces=(PACE, faster))[0].model.precision == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("has_bfloat16", "reason"),
    [(True, "no time to measure"), (False, "the CPU has no instructions")],
)
def test_a_precision_that_was_not_compared_says_why(has_bfloat16, reason):
    situation = dataclasses.replace(SITUATION, has_bfloat16=has_bfloat16)
    _, rows = reasons(situation=situation)
    assert reason in rows["precision"].reason


def test_epochs_and_sizes_have_the_reason_that_applies():
    _, rows = reasons(Options(epochs=2), seconds=3000)
    assert rows["epochs"].reason.startswith("requested; about ")
    assert rows["epochs"].value == "2" and rows["image size"].value == "224"
    assert rows["image size"].reason == "the network's evaluation size"
    _, rows = reasons(seconds=-5)
    assert rows["epochs"].reason.startswith("the shortest plan takes about ")
    assert "few epochs" in rows["image size"].reason


def test_a_setting_that_is_asked_for_wins_and_is_said_to():
    options = Options(settings=("optimizer.learning_rate=0.02", "seed=3"), batch_size=8)
    experiment, rows = reasons(options)
    assert experiment.optimizer.learning_rate == 0.02 and experiment.seed == 3
    assert rows["learning rate"].reason == rows["batch size"].reason == "requested"
    assert experiment.batch_size == 8


def test_from_scratch_all_learns_from_the_start():
    start = dataclasses.replace(START, weights=None)
    experiment, rows = reasons(situation=dataclasses.replace(SITUATION, backbone=start))
    assert experiment.optimizer.head_epochs == 0
    assert experiment.optimizer.layer_decay == 1
    assert "scratch" in rows["learning rate"].reason


@pytest.mark.parametrize(("num_train", "decay"), [(1000, 0.85), (1001, 1)])
def test_with_few_images_lower_blocks_learn_more_slowly(num_train, decay):
    situation = dataclasses.replace(SITUATION, num_train=num_train)
    experiment, rows = reasons(situation=situation)
    assert experiment.optimizer.layer_decay == decay
    assert ("few images" in rows["layer decay"].reason) == (decay < 1)


def test_few_images_make_small_batches():
    few = dataclasses.replace(SITUATION, num_train=40)
    assert draft.draft_experiment(few, Options(), "float32").batch_size == 4
    assert draft.draft_experiment(SITUATION, Options(), "float32").batch_size == 32


def test_the_table_has_three_columns_and_every_choice():
    _, rows, _ = decisions.decide(SITUATION, Options(), [PACE], 300)
    lines = decisions.table(rows)
    assert lines[0].split() == ["choice", "value", "reason"]
    assert len(lines) == len(rows) + 1


def start_of(options=NOTHING, kind="CPU", at_hand=(), reachable=()):
    return choose_backbone(
        kind, options, lambda *x: x in at_hand, lambda *x: x in reachable
    )


def test_the_best_weights_that_can_be_had_are_taken():
    best = ("efficientnetv2-b0", "imagenet21k-ft1k")
    lite = ("efficientnet-lite0", "imagenet")
    found = start_of(at_hand=[lite], reachable=[best])
    assert (found.variant, found.weights) == best
    found = start_of(at_hand=[lite])
    assert (found.variant, found.weights) == lite and "offline" in found.weights_reason
    with pytest.raises(InputError, match=r"keras_effnetv2\[offline\]"):
        start_of()


def test_a_network_that_is_asked_for_is_taken_or_refused():
    options = Options(variant="efficientnetv2-s")
    best = ("efficientnetv2-s", "imagenet21k-ft1k")
    assert start_of(options, reachable=[best]).weights == best[1]
    with pytest.raises(InputError, match="cannot be downloaded now"):
        start_of(options)
    assert start_of(Options(weights="none")).weights is None
    with pytest.raises(InputError, match="Say which network"):
        start_of(Options(weights="mine.h5"))
    with pytest.raises(InputError, match="noisy-student"):
        start_of(Options(weights="noisy-student"))


def test_weights_in_the_cache_come_before_better_ones_of_the_internet():
    best = ("efficientnetv2-s", "imagenet21k-ft1k")
    cached = ("efficientnetv2-s", "imagenet")
    for kind in ("GPU", "TPU"):
        found = start_of(kind=kind, at_hand=[cached], reachable=[best])
        assert (found.variant, found.weights) == cached
        assert found.weights_reason == "the best in the cache"
        assert found.variant_reason == f"trains in minutes on a {kind}"
    options = Options(variant="efficientnetv2-s")
    found = start_of(options, at_hand=[cached], reachable=[best])
    assert found.weights == "imagenet" and "offline" in found.weights_reason


def test_weights_that_are_asked_for_are_taken_and_networks_without_any_begin_anew():
    found = start_of(Options(weights="imagenet"))
    assert (found.variant, found.weights) == ("efficientnetv2-b0", "imagenet")
    assert found.weights_reason == "requested"
    found = start_of(Options(variant=str(NANO_FILE), weights="mine.weights.h5"))
    assert found.weights == "mine.weights.h5" and found.variant_reason == "requested"
    found = start_of(Options(variant=str(NANO_FILE)))
    assert found.weights is None and "nobody has released" in found.weights_reason


@pytest.fixture(name="stored")
def fixture_stored(tmp_path):
    """A work folder with choices, and the request that they are of."""
    options = Options(minutes=5)
    experiment, rows, timetable = decisions.decide(SITUATION, options, [PACE], 300)
    request = describe_request("photographs", None, options)
    write_chosen(tmp_path, request, Chosen(experiment, None, tuple(rows), timetable))
    return tmp_path, request


def test_stored_choices_come_back(stored):
    folder, request = stored
    chosen = read_chosen(folder, request)
    options = Options(minutes=5)
    experiment, rows, timetable = decisions.decide(SITUATION, options, [PACE], 300)
    assert timetable is not None
    assert chosen == Chosen(experiment, None, tuple(rows), timetable)
    with pytest.raises(InputError, match="minutes is 5 there and 6 now"):
        read_chosen(folder, request | {"minutes": 6})


def test_choices_may_hold_paths_that_are_not_utf_8(stored):
    folder, request = stored
    chosen = read_chosen(folder, request)
    data = dataclasses.replace(chosen.experiment.data, directory=NOT_UTF8)
    experiment = dataclasses.replace(chosen.experiment, data=data)
    chosen = dataclasses.replace(chosen, experiment=experiment)
    request = describe_request(f"{NOT_UTF8}\u4e2d", None, Options(minutes=5))
    write_chosen(folder, request, chosen)
    assert read_chosen(folder, request) == chosen


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"request": null}', '{"request": {}, "experiment": 1}']
)
def test_damaged_choices_are_named(text, stored):
    folder, request = stored
    (folder / "choices.json").write_text(text)
    with pytest.raises(InputError, match=r"choices.json is damaged .*--workdir"):
        read_chosen(folder, request)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), True])
def test_wrong_minutes(minutes):
    with pytest.raises(InputError, match="minutes must be a number above 0"):
        Options(minutes=minutes)


def test_wrong_numbers_and_names():
    for wish in ({"epochs": 0}, {"batch_size": 1.5}, {"image_size": 8}):
        with pytest.raises(InputError, match="must be a whole number, at least"):
            Options(**wish)
    with pytest.raises(InputError, match="efficientnetv2-z"):
        Options(variant="efficientnetv2-z")
