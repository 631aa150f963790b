"""Keras's callbacks in progressive learning, against the same in a single `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.training.progressive import shared_callbacks
from keras_effnetv2.training.progressive.learning import ProgressiveLearning
from keras_effnetv2.training.progressive.stages import Ramp, plan_stages

EPOCHS = 6
# Three stages that differ in nothing, which a single `fit` can train too.
STAGES = plan_stages(epochs=EPOCHS, num_stages=3, image_size=8, batch_size=8)
# Two that have 2 and 4 steps an epoch.
UNEQUAL = plan_stages(epochs=4, num_stages=2, image_size=Ramp(8, 12), batch_size=(8, 4))


def model_of_anybody(**options):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential(
        [keras.Input((None, None, 3)), *layers, keras.layers.Dense(2)]
    )
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, **options)
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def images_and_targets(size=8):
    random = np.random.default_rng(0)
    x = random.uniform(0, 1, (16, size, size, 3)).astype("float32")
    return x, random.uniform(0, 1, (16, 2)).astype("float32")


def data_of(stage):
    x, y = images_and_targets(stage.image_size)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(stage.batch_size)


def fit_once(model, callbacks, make_data=data_of, **arguments):
    data = make_data(STAGES[0])
    arguments = {"verbose": 0, **arguments}
    return model.fit(
        data, epochs=EPOCHS, shuffle=False, callbacks=callbacks, **arguments
    ).history


def fit_in_stages(model, callbacks, make_data=data_of, **arguments):
    arguments = {"verbose": 0, **arguments}
    return ProgressiveLearning(STAGES).fit(
        model, make_data, callbacks=callbacks, **arguments
    )


WAYS = (fit_once, fit_in_stages)


class Batches(keras.utils.PyDataset):
    """Batches that are counted otherwise than by their length."""

    @property
    def num_batches(self):
        return 5


def test_batches_are_counted_where_that_is_known():
    x, y = images_and_targets()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    for each, num_batches in (
        (data, 2), (data.repeat(), None), (data.filter(lambda *_: True), None),
        (x, None), ({"images": x}, None), ((x, y), None), (Batches(), 5),
    ):  # fmt: skip
        assert shared_callbacks._num_batches(each) == num_batches


def assert_same_bits(models):
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        assert one.tobytes() == other.tobytes()


class Diary(keras.callbacks.Callback):
    """Writes down every event, what comes with it, and what can be seen from it."""

    def __init__(self):
        super().__init__()
        self.events = []
        for name in dir(keras.callbacks.Callback):
            if name.startswith("on_") and not name.endswith(
                ("on_batch_begin", "on_batch_end")
            ):
                setattr(self, name, self._writer(name))

    def _writer(self, name):
        def write(*arguments, logs=None):
            self.events.append(
                (name, *arguments, logs, dict(self.params), self._step())
            )

        return write

    def _step(self):
        return int(self.model.optimizer.iterations)

    def epochs(self):
        return [event[1] for event in self.events if event[0] == "on_epoch_begin"]

    def names(self):
        return [event[0] for event in self.events]


class Interrupting(keras.callbacks.Callback):
    """Raises when an epoch begins, or after its first step."""

    def __init__(self, epoch, after_step=False):
        super().__init__()
        self.epoch, self.after_step = epoch, after_step

    def on_epoch_begin(self, epoch, logs=None):
        self.is_due = epoch == self.epoch
        if self.is_due and not self.after_step:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        if self.is_due:
            raise KeyboardInterrupt


def test_callbacks_see_the_events_of_one_fit():
    diaries, models = [], []
    for fit in WAYS:
        diaries.append(Diary())
        models.append(model_of_anybody())
        history = fit(models[-1], [diaries[-1]], validation_data=images_and_targets(10))
        assert models[-1].history.epoch == [*range(EPOCHS)]
        assert all(len(values) == EPOCHS for values in history.values())
        assert set(history) == {"loss", "mae", "val_loss", "val_mae"}
    assert diaries[0].names().count("on_train_begin") == 1
    assert diaries[0].events == diaries[1].events
    assert_same_bits(models)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("one callback", marks=pytest.mark.slow),
        pytest.param("list of Keras's", marks=pytest.mark.slow),
        "nested",
    ],
)
def test_callbacks_come_in_every_form_that_fit_takes(form):
    model, diary = model_of_anybody(), Diary()
    callbacks = {
        "one callback": diary,
        "list of Keras's": keras.callbacks.CallbackList([diary], model=model),
        "nested": [[diary], [keras.callbacks.History()]],
    }
    history = fit_in_stages(model, callbacks[form])
    assert diary.epochs() == [*range(EPOCHS)]
    assert diary.names().count("on_train_end") == 1
    assert len(history["loss"]) == EPOCHS


def test_schedules_counters_and_files_are_those_of_one_fit(tmp_path):
    def schedule(epoch, rate):
        return 0.01 / (1 + epoch)

    histories, models, files = [], [], []
    for fit in WAYS:
        folder = tmp_path / fit.__name__
        models.append(model_of_anybody(use_ema=True, ema_momentum=0.5))
        callbacks = [
            keras.callbacks.LearningRateScheduler(schedule),
            # Its epochs without success are those of two stages.
            keras.callbacks.ReduceLROnPlateau("loss", min_delta=9, patience=3),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.CSVLogger(folder / "epochs.csv"),
            keras.callbacks.ModelCheckpoint(
                str(folder / "{epoch}.weights.h5"), save_freq=3, save_weights_only=True
            ),
            keras.callbacks.TensorBoard(
                folder / "board", update_freq=1, write_graph=False
            ),
        ]
        folder.mkdir()
        histories.append(fit(models[-1], callbacks))
        rows = (folder / "epochs.csv").read_text().splitlines()
        assert len(rows) == 1 + EPOCHS
        saved = sorted(path.name for path in folder.glob("*.h5"))
        files.append((rows, saved, tensorboard_points(folder / "board")))
    assert histories[0] == histories[1]
    assert files[0] == files[1]
    assert ("batch_loss", 2 * EPOCHS) in files[0][2]
    assert_same_bits(models)


def tensorboard_points(folder):
    """Tag and step of every number."""
    return [
        (value.tag, event.step)
        for path in sorted(folder.rglob("events.*"))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if "steps_per_second" not in value.tag
    ]


@pytest.mark.parametrize("epoch", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_stopped_training_ends_as_one_fit_does(epoch):
    diaries, models = [], []
    for fit in WAYS:
        diaries.append(Diary())
        models.append(model_of_anybody(use_ema=True, ema_momentum=0.5))
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda e, logs, model=models[-1]: setattr(
                model, "stop_training", e == epoch
            )
        )
        fit(models[-1], [stop, diaries[-1]])
    assert diaries[1].epochs() == [*range(epoch + 1)]
    assert diaries[0].events == diaries[1].events
    assert_same_bits(models)  # Also in Keras's moving average.


def test_early_stopping_waits_over_stages_and_restores_the_best_weights():
    models = []
    for fit in WAYS:
        models.append(model_of_anybody())
        stopping = keras.callbacks.EarlyStopping(
            "loss", patience=3, min_delta=9, restore_best_weights=True
        )
        history = fit(models[-1], [stopping])
        assert (len(history["loss"]), stopping.best_epoch) == (4, 0)
    assert_same_bits(models)


def test_a_loss_that_is_no_number_ends_the_training():
    model = model_of_anybody()
    x, y = images_and_targets()
    data = tf.data.Dataset.from_tensor_slices((x, np.nan * y)).batch(8)
    history = fit_in_stages(model, keras.callbacks.TerminateOnNaN(), lambda stage: data)
    assert int(model.optimizer.iterations) == len(history["loss"]) == 1


@pytest.fixture(scope="module")
def uninterrupted():
    model = model_of_anybody()
    fit_in_stages(model, [])
    return model


# Within a stage, before the first step of one, and within its first epoch.
@pytest.mark.parametrize(
    ("epoch", "after_step"),
    [
        (1, False),
        pytest.param(2, False, marks=pytest.mark.slow),
        pytest.param(4, False, marks=pytest.mark.slow),
        (4, True),
    ],
)
def test_a_backup_resumes_in_any_stage(tmp_path, uninterrupted, epoch, after_step):
    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    with pytest.raises(KeyboardInterrupt):
        fit_in_stages(model_of_anybody(), [backup(), Interrupting(epoch, after_step)])
    resumed, diary = model_of_anybody(), Diary()
    history = fit_in_stages(resumed, [backup(), diary])
    assert diary.epochs() == [*range(epoch, EPOCHS)]
    assert len(history["loss"]) == EPOCHS - epoch
    assert_same_bits([uninterrupted, resumed])
    assert not (tmp_path / "backup").exists()


def test_a_backup_of_a_finished_training_trains_nothing(tmp_path):
    def backup():
        return keras.callbacks.BackupAndRestore(
            tmp_path / "backup", delete_checkpoint=False
        )

    first, again, diary = model_of_anybody(), model_of_anybody(), Diary()
    fit_in_stages(first, [backup()])
    fit_in_stages(again, [backup(), diary])
    assert diary.names() == ["on_train_begin", "on_train_end"]
    assert_same_bits([first, again])


def test_an_error_ends_nothing_and_leaves_model_and_callbacks_usable():
    models, diary = [model_of_anybody(), model_of_anybody()], Diary()
    with pytest.raises(KeyboardInterrupt):
        fit_in_stages(models[0], [diary, Interrupting(1)])
    assert "on_train_end" not in diary.names()
    weights = model_of_anybody().get_weights()
    for model in models:
        model.set_weights(weights)
        for variable in model.optimizer.variables[2:]:  # Iterations and rate first.
            variable.assign(keras.ops.zeros_like(variable))
    fit_in_stages(models[0], [diary])
    fit_in_stages(models[1], [])
    assert diary.names().count("on_train_end") == 1
    assert_same_bits(models)


# Keras's own, of data whose length nobody knows.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "are_counted", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_the_progress_bar_counts_all_epochs_and_the_steps_of_each_stage(
    capsys, are_counted
):
    def make_data(stage):
        data = data_of(stage)
        return data if are_counted else data.filter(lambda x, y: True)

    ProgressiveLearning(UNEQUAL).fit(model_of_anybody(), make_data, verbose=2)
    lines = [line.split(" - ")[0] for line in capsys.readouterr().out.splitlines()]
    steps = ["2/2", "2/2", "4/4", "4/4"]
    assert lines == [x for i in range(4) for x in (f"Epoch {i + 1}/4", steps[i])]
