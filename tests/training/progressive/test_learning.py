"""Progressive learning of any Keras model."""

import keras
import numpy as np
import pytest

from keras_effnetv2.layers import FusedMBConv
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.learner import building
from keras_effnetv2.training.progressive.learning import (
    ProgressiveLearning,
    plan_segments,
    set_rates,
)
from keras_effnetv2.training.progressive.stages import Ramp, plan_stages
from keras_effnetv2.training.runs import run
from tests.training.run_processes import QUICK

STAGES = plan_stages(
    epochs=4,
    num_stages=2,
    image_size=Ramp(8, 12),
    batch_size=(8, 4),
    dropout_rate=Ramp(0.0, 0.9),
)


def model_of_anybody(rate=0.5, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(rate),
            keras.layers.Dense(2),
        ]
    )
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, **options)
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def data_of(stage):
    random = np.random.default_rng(stage.index)
    size = stage.image_size
    x = random.uniform(0, 1, (16, size, size, 3)).astype("float32")
    y = random.uniform(0, 1, (16, 2)).astype("float32")
    from tensorflow import data

    return data.Dataset.from_tensor_slices((x, y)).batch(stage.batch_size)


def test_every_stage_has_its_images_and_its_rate_and_one_optimizer():
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rate = self.model.layers[2].rate
            seen.append((epoch, rate, int(self.model.optimizer.iterations)))

    model = model_of_anybody()
    history = ProgressiveLearning(STAGES).fit(
        model, data_of, callbacks=[Watch()], verbose=0
    )
    # 16 images: 2 steps an epoch in batches of 8, then 4.
    assert seen == [(0, 0.0, 2), (1, 0.0, 4), (2, 0.9, 8), (3, 0.9, 12)]
    assert len(history["loss"]) == len(history["mae"]) == 4


def test_a_compiled_step_drops_at_the_rate_of_its_stage():
    """Keras keeps the rate that a step was traced with."""

    class Ones(keras.Model):
        def __init__(self):
            super().__init__()
            self.dropout = keras.layers.Dropout(0.5)

        def call(self, x, training=None):
            return self.dropout(x, training=training)

    shares = []

    class Share(keras.metrics.Mean):
        def update_state(self, y, outputs, sample_weight=None):
            zeros = keras.ops.cast(keras.ops.equal(outputs, 0), "float32")
            super().update_state(keras.ops.mean(zeros))

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            shares.append(logs["share"])

    stages = plan_stages(
        epochs=2, num_stages=2, image_size=8, batch_size=4, dropout_rate=Ramp(0.1, 0.8)
    )
    model = Ones()
    model.compile("sgd", "mse", metrics=[Share("share")])
    model.build((None, 1000))
    data = (np.ones((8, 1000), "float32"),) * 2
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        ProgressiveLearning(stages).fit(
            model,
            lambda stage: _dataset(*data, stage.batch_size),
            callbacks=[Watch()],
            verbose=0,
        )
    assert shares == pytest.approx([0.1, 0.8], abs=0.03)


@pytest.mark.slow
def test_stages_of_the_same_rates_share_one_traced_step(tmp_path, monkeypatch):
    create, shapes = building.create_learner, []

    def create_watched(*arguments):
        learner = create(*arguments)
        step = learner.train_step

        def watched(data):
            shapes.append(tuple(data[0].shape))
            return step(data)

        learner.train_step = watched
        return learner

    monkeypatch.setattr(building, "create_learner", create_watched)
    same = [f"progressive.{name}_rate=0.1,0.1" for name in ("dropout", "drop_path")]
    experiment = override(get_experiment("digits-smoke"), [*QUICK, *same])
    run.train(experiment, tmp_path)
    assert shapes == [(32, None, None, 3)]


def _dataset(x, y, batch_size):
    from tensorflow import data

    return data.Dataset.from_tensor_slices((x, y)).batch(batch_size)


def test_stages_of_one_size_equal_one_fit_even_with_keras_moving_average():
    stages = plan_stages(epochs=4, num_stages=2, image_size=8, batch_size=8)
    options = {"use_ema": True, "ema_momentum": 0.5}
    once, staged = (model_of_anybody(0.0, **options) for _ in range(2))
    once.fit(data_of(stages[0]), epochs=4, shuffle=False, verbose=0)
    ProgressiveLearning(stages).fit(staged, lambda stage: data_of(stages[0]), verbose=0)
    for a, b in zip(once.get_weights(), staged.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_dropout_that_keras_cannot_raise_is_refused():
    model = model_of_anybody(rate=0.0)
    with pytest.raises(ValueError, match="cannot be raised from 0"):
        ProgressiveLearning(STAGES).fit(model, data_of, verbose=0)


def test_a_model_without_dropout_is_refused_where_stages_set_a_rate():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="has no keras.layers.Dropout"):
        set_rates(model, STAGES[0])


def test_stages_that_do_not_follow_each_other_are_refused():
    with pytest.raises(ValueError, match="must be consecutive"):
        ProgressiveLearning(STAGES[1:])


def test_stochastic_depth_grows_with_depth():
    inputs = keras.Input((8, 8, 4))
    x = inputs
    blocks = [FusedMBConv(4) for _ in range(4)]
    for block in blocks:
        x = block(x)
    stages = plan_stages(
        epochs=1, num_stages=1, image_size=8, batch_size=1, drop_path_rate=0.2
    )
    set_rates(keras.Model(inputs, x), stages[0])
    rates = [block.stochastic_depth.rate for block in blocks]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15])


def test_legs_cover_what_is_left_once():
    def steps_per_epoch(stage):
        return 40 // stage.batch_size

    def steps_of(segments):
        return [
            (epoch, segment.first_step + step)
            for segment in segments
            for epoch in range(segment.first_epoch, segment.end_epoch)
            for step in range(segment.num_steps)
        ]

    whole = steps_of(plan_segments(STAGES, steps_per_epoch))
    assert len(whole) == 2 * 5 + 2 * 10
    for place, (epoch, step) in enumerate(whole):
        left = plan_segments(STAGES, steps_per_epoch, epoch, step)
        assert steps_of(left) == whole[place:]
    assert not [*plan_segments(STAGES, steps_per_epoch, 4, 0)]
