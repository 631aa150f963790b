import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.training.experiments.named import (
    RECIPES,
    get_experiment,
    list_experiments,
)
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.learner.schedules import (
    build_schedule,
    scale_learning_rate,
)
from keras_effnetv2.training.progressive.stages import Ramp, format_plan

NAMES = [
    *(f"imagenet-{size}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")),
    *(f"imagenet-{size}-paper" for size in "sml"),
    *(f"imagenet21k-{size}" for size in ("s", "m", "l", "xl")),
    "finetune-imagenet",
    *(f"finetune-{data}" for data in ("cifar10", "cifar100", "flowers", "cars")),
    *("digits", "digits-smoke", "fashion-mnist"),
]


def stages(name):
    experiment = get_experiment(name)
    return experiment.stages(experiment.data.num_train_images)


def test_every_recipe_has_a_name():
    assert list_experiments() == NAMES
    assert all(get_experiment(name).name == name for name in NAMES)
    with pytest.raises(ValueError, match="experiment 'imagenet-xl'.*imagenet-l"):
        get_experiment("imagenet-xl")


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_can_be_planned_and_says_what_to_expect(name):
    recipe = RECIPES[name]
    assert f"train --experiment {name} --workdir runs/{name}" in recipe.command
    assert recipe.hardware and recipe.source and recipe.expected
    plan = stages(name)
    assert len(plan) == recipe.experiment.progressive.num_stages
    images = recipe.experiment.data.num_train_images
    assert len(format_plan(plan, images).splitlines()) == len(plan) + 3


@pytest.mark.parametrize("size", ["b0", "b1", "b2", "b3", "s", "m", "l"])
@pytest.mark.parametrize("script", ["main", "main_tf2"])
def test_imagenet_recipes_have_the_released_stages(reference, script, size):
    path = reference / f"schedule/stages_{script}.json"
    rows = json.loads(path.read_text())["tables"][f"efficientnetv2-{size}"]
    policy = get_experiment(f"imagenet-{size}").augmentation.policy
    for stage, row in zip(stages(f"imagenet-{size}"), rows, strict=True):
        assert stage.image_size == row["image_size"]
        assert stage.mixup_alpha == pytest.approx(row["mixup_alpha"], abs=1e-12)
        assert stage.cutmix_alpha == pytest.approx(row["cutmix_alpha"], abs=1e-12)
        assert policy == {"randaug": "randaugment"}.get(row["augname"], "autoaugment")
        if policy == "randaugment":
            assert stage.randaugment_magnitude == pytest.approx(row["ram"], abs=1e-12)
        assert (stage.dropout_rate, stage.drop_path_rate) == (None, None)
        if script == "main_tf2":
            assert (stage.first_epoch, stage.end_epoch) == (
                row["initial_epoch"],
                row["epochs"],
            )


# Tan and Le 2021, Table 6.
@pytest.mark.parametrize(
    ("size", "last"),
    [
        ("s", (300, 15, 0.0, 0.3)),
        ("m", (380, 20, 0.2, 0.4)),
        ("l", (380, 25, 0.4, 0.5)),
    ],
)
def test_paper_recipes_have_the_stages_of_table_6(size, last):
    for stage, values in zip(
        stages(f"imagenet-{size}-paper")[::3],
        [(128, 5, 0.0, 0.1), last],
        strict=True,
    ):
        names = ("image_size", "randaugment_magnitude", "mixup_alpha", "dropout_rate")
        assert tuple(getattr(stage, name) for name in names) == values
        assert stage.cutmix_alpha == 0


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("imagenet-s", "imagenet"),
        ("imagenet-b0", "imagenet"),
        ("imagenet-l-paper", "imagenet"),
        ("imagenet21k-xl", "imagenet21k"),
        ("finetune-imagenet", "imagenetft"),
    ],
)
def test_recipes_have_the_released_learning_rates(reference, name, row):
    folder = reference / "schedule"
    facts = json.loads((folder / "lr_main_tf2.json").read_text())[row]
    numbers = np.load(folder / "lr_main_tf2.npz")
    experiment = get_experiment(name)
    optimizer, images = experiment.optimizer, experiment.data.num_train_images
    assert images == facts["num_train_images"]
    assert experiment.batch_size == facts["batch"]
    schedule = build_schedule(
        learning_rate=scale_learning_rate(
            optimizer.learning_rate,
            experiment.batch_size,
            optimizer.learning_rate_batch_size,
        ),
        steps_per_epoch=images // experiment.batch_size,
        epochs=experiment.num_epochs(images),
        **dataclasses.asdict(experiment.schedule),
    )
    rates = [schedule(int(step)) for step in numbers[f"{row}/steps"]]
    np.testing.assert_allclose(
        rates, numbers[f"{row}/lr"], rtol=1e-6, atol=2e-7 * facts["initial_lr"]
    )


def test_transfer_takes_ten_thousand_steps():
    for name in NAMES:
        if name.startswith("finetune-") and name != "finetune-imagenet":
            experiment = get_experiment(name)
            images = experiment.data.num_train_images
            steps = sum(stage.num_steps(images) for stage in experiment.stages(images))
            assert 0 <= steps - 10_000 < images // 512
            assert experiment.regularization.weight_decay == 0
            rate = scale_learning_rate(experiment.optimizer.learning_rate, 512)
            assert rate == pytest.approx(0.001)


@pytest.mark.parametrize("name", NAMES)
def test_only_recipes_for_a_cpu_are_slower_for_equal_bits(name):
    is_for_cpu = "CPU" in RECIPES[name].hardware
    assert get_experiment(name).loop.deterministic == is_for_cpu


@pytest.mark.parametrize("name", [name for name in NAMES if "finetune" in name])
def test_fine_tuning_evaluates_every_500_steps_at_most(name):
    assert get_experiment(name).loop.evaluate_steps == 500


@pytest.mark.parametrize("size", ["s", "m", "l", "xl"])
def test_imagenet21k_has_no_stages_and_little_regularization(size):
    (stage,) = stages(f"imagenet21k-{size}")
    assert (stage.image_size, stage.num_epochs) == (224, 60)
    assert (stage.dropout_rate, stage.drop_path_rate) == (0, 0)
    experiment = get_experiment(f"imagenet21k-{size}")
    assert experiment.augmentation.policy == "none"
    assert experiment.regularization.label_smoothing == 0
    assert experiment.data.multi_label


def test_fine_tuning_follows_the_evaluation_size_of_the_variant():
    experiment = get_experiment("finetune-imagenet")
    for size, pixels in [("s", 384), ("l", 480), ("xl", 512)]:
        model = dataclasses.replace(experiment.model, variant=f"efficientnetv2-{size}")
        (stage,) = dataclasses.replace(experiment, model=model).stages(10_000)
        assert stage.image_size == pixels


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("digits", [48, 52, 56]),
        ("digits-smoke", [16, 24, 32]),
        ("fashion-mnist", [64, 96]),
    ],
)
def test_small_recipes_grow(name, sizes):
    plan = stages(name)
    assert [stage.image_size for stage in plan] == sizes
    assert plan[0].randaugment_magnitude < plan[-1].randaugment_magnitude
    assert not get_experiment(name).augmentation.flip


def test_smoke_is_three_epochs_of_a_tiny_network():
    experiment = get_experiment("digits-smoke")
    assert experiment.epochs == 3
    variant = dataclasses.replace(
        get_variant(experiment.model.variant),
        width_coefficient=experiment.model.width_coefficient,
        depth_coefficient=experiment.model.depth_coefficient,
    )
    model = create_model(
        variant,
        weights=None,
        classes=experiment.data.num_classes,
        preprocessing=experiment.model.preprocessing,
    )
    assert model.count_params() < 500_000
    assert keras.ops.shape(model.output)[-1] == 10


def test_each_stage_can_have_its_batch():
    experiment = get_experiment("digits")
    progressive = dataclasses.replace(experiment.progressive, batch_sizes=(128, 96, 64))
    plan = dataclasses.replace(experiment, progressive=progressive).stages(1437)
    assert [stage.batch_size for stage in plan] == [128, 96, 64]


def test_experiments_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_experiment("digits").optimizer.learning_rate = 1.0


def test_the_paper_and_the_released_code_differ():
    assert get_experiment("imagenet-s-paper").progressive.image_size == Ramp(128, 300)
    assert get_experiment("imagenet-s").model.bn_momentum == 0.9
    assert get_experiment("imagenet-s-paper").model.bn_momentum == 0.99


def test_stages_of_other_batches_take_enough_steps_too():
    sizes = ("progressive.num_stages=2", "progressive.batch_sizes=1024,512")
    experiment = override(get_experiment("finetune-flowers"), sizes)
    stages = experiment.stages(2040)
    assert sum(stage.num_steps(2040) for stage in stages) >= experiment.min_steps
