import json
import math

import keras
import numpy as np
import pytest

from keras_effnetv2.training.learner.recipe_optimizers import build_optimizer
from keras_effnetv2.training.learner.schedules import (
    WarmUp,
    build_schedule,
    scale_learning_rate,
)
from tests.tiny_experiments import tiny_experiment

# Released code: schedule, rate for a batch of 256, batch, epochs, epochs of warm-up.
RELEASED = {
    "imagenet": ("exponential", 0.016, 4096, 350, 5),
    "imagenet21k": ("cosine", 0.008, 4096, 60, 1),
    "imagenetft": ("constant", 0.0005, 512, 15, 1),
}


def released(name, num_images, whole_steps):
    schedule, rate, batch_size, epochs, warmup_epochs = RELEASED[name]
    steps = num_images // batch_size if whole_steps else num_images / batch_size
    return build_schedule(
        schedule,
        scale_learning_rate(rate, batch_size),
        steps_per_epoch=steps,
        epochs=epochs,
        warmup_epochs=warmup_epochs,
    )


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize("script", ["main", "main_tf2"])
def test_rates_equal_those_of_the_released_scripts(reference, script, name):
    folder = reference / "schedule"
    facts = json.loads((folder / f"lr_{script}.json").read_text())[name]
    numbers = np.load(folder / f"lr_{script}.npz")
    whole_steps = script == "main_tf2"  # The other counts 306.68 steps an epoch.
    schedule = released(name, facts["num_train_images"], whole_steps)
    assert schedule.num_steps == facts["warmup_steps"]
    rates = [schedule(int(step)) for step in numbers[f"{name}/steps"]]
    # Float32 rounding: of a product, and of the cosine itself, which shows near 0.
    np.testing.assert_allclose(
        rates, numbers[f"{name}/lr"], rtol=1e-6, atol=2e-7 * facts["initial_lr"]
    )


def test_the_exponential_rate_falls_at_once_every_so_many_epochs():
    schedule = build_schedule("exponential", 1.0, steps_per_epoch=10, epochs=100)
    rates = [float(schedule(step)) for step in (0, 23, 24, 47, 48)]
    assert rates == pytest.approx([1, 1, 0.97, 0.97, 0.97**2])


def test_warm_up_is_linear_and_does_not_delay_the_decay():
    options = {"steps_per_epoch": 10, "epochs": 10}
    plain = build_schedule("cosine", 0.4, **options)
    warmed = build_schedule("cosine", 0.4, warmup_epochs=2, **options)
    assert [float(warmed(step)) for step in (0, 5, 10)] == pytest.approx([0, 0.1, 0.2])
    steps = range(20, 101)
    assert [float(warmed(s)) for s in steps] == [float(plain(s)) for s in steps]
    assert float(warmed(100)) == pytest.approx(0, abs=1e-7)


def test_constant_is_constant():
    schedule = build_schedule("constant", 0.3, steps_per_epoch=7, epochs=3)
    rates = {float(schedule(step)) for step in (0, 1, 20, 10_000)}
    assert rates == {float(np.float32(0.3))}


# fmt: off
@pytest.mark.parametrize(
    ("rate", "batch_size", "reference_batch_size", "expected"),
    [
        (0.016,  4096, 256, 0.256),  # Paper, ImageNet.
        (0.008,  4096, 256, 0.128),
        (0.0005, 512,  256, 0.001),  # Paper, fine-tuning.
        (0.001,  256,  512, 0.0005),
    ],
)
# fmt: on
def test_the_rate_grows_with_the_batch(
    rate, batch_size, reference_batch_size, expected
):
    scaled = scale_learning_rate(rate, batch_size, reference_batch_size)
    assert scaled == pytest.approx(expected)


@pytest.mark.parametrize("name", ["exponential", "cosine", "constant"])
@pytest.mark.parametrize("warmup_epochs", [0, 1.5])
def test_an_optimizer_brings_its_schedule_back(name, warmup_epochs):
    schedule = build_schedule(
        name, 0.1, steps_per_epoch=4, epochs=9, warmup_epochs=warmup_epochs
    )
    assert isinstance(schedule, WarmUp) == (warmup_epochs > 0)
    config = json.dumps(keras.optimizers.serialize(keras.optimizers.SGD(schedule)))
    again = keras.optimizers.deserialize(json.loads(config))
    for step in range(40):
        again.iterations.assign(step)
        assert float(again.learning_rate) == float(schedule(step))


@pytest.mark.parametrize(("scales", "factors"), [(True, (1, 0.5)), (False, (1, 1))])
def test_stages_with_batches_of_their_own_end_where_the_whole_ends(scales, factors):
    """Rates follow epochs, and the size of a batch if they are of one."""
    experiment = tiny_experiment(
        "epochs=4",
        "progressive.num_stages=2",
        "progressive.batch_sizes=8,4",
        "batch_size=8",
        "schedule.name=cosine",
        "schedule.warmup_epochs=0",
        "optimizer.name=sgd",
        "optimizer.learning_rate=0.1",
        f"optimizer.learning_rate_batch_size={8 if scales else 'none'}",
    )
    stages = experiment.stages(80)
    found = build_optimizer(experiment, stages, 80, depths=()).get_config()
    rate = keras.saving.deserialize_keras_object(found["learning_rate"])
    # 10 steps an epoch, then 20.
    for step, epoch, factor in (
        (0, 0, factors[0]), (10, 1, factors[0]), (20, 2, factors[1]),
        (40, 3, factors[1]), (60, 4, factors[1]),
    ):  # fmt: skip
        wanted = 0.1 * factor * (1 + math.cos(math.pi * epoch / 4)) / 2
        assert float(rate(step)) == pytest.approx(wanted, abs=1e-7)


def test_half_precision_scales_its_losses():
    experiment = tiny_experiment("model.precision=mixed_float16", "optimizer.name=sgd")
    optimizer = build_optimizer(experiment, experiment.stages(80), 80, depths=())
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(optimizer.inner_optimizer, keras.optimizers.SGD)


def test_an_optimizer_follows_the_warm_up_in_fit():
    schedule = build_schedule(
        "cosine", 0.1, steps_per_epoch=4, epochs=2, warmup_epochs=1
    )
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), "mse")
    rates = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: rates.append(
            float(model.optimizer.learning_rate)
        )
    )
    x = np.ones((8, 1), "float32")
    model.fit(x, x, batch_size=2, epochs=2, verbose=0, callbacks=[record])
    assert rates == pytest.approx([float(schedule(s)) for s in range(1, 9)])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "linear"}, "one of.*Received: 'linear'"),
        ({"steps_per_epoch": 0}, "needs steps.*steps_per_epoch=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"warmup_epochs": 6}, "no more epochs of warm-up.*warmup_epochs=6"),
    ],
)
def test_a_schedule_that_cannot_be(wrong, message):
    right = {"name": "cosine", "steps_per_epoch": 4, "epochs": 5}
    with pytest.raises(ValueError, match=message):
        build_schedule(**{"learning_rate": 0.1, **right, **wrong})


def test_a_warm_up_of_no_steps():
    with pytest.raises(ValueError, match="at least one step.*num_steps=0"):
        WarmUp(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0), 0)
