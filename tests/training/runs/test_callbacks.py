"""Callbacks of a user see one `fit`, whatever stages and restarts there are."""

import json
import os
import signal
import threading
import types

import keras
import pytest

from keras_effnetv2.errors import Interrupted
from keras_effnetv2.training import (
    evaluate_run,
    get_experiment,
    load_run,
    override,
    train,
)
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.runs import loop
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position
from tests.training.run_processes import QUICK, steps_saved

# Two stages of two epochs of two steps.
SETTINGS = (
    *QUICK,
    "data.train_split=train[:64]",
    "data.num_train_images=64",
    "data.eval_split=test[:32]",
    "epochs=4",
    # Traced once, and little of it.
    "augmentation.min_crop_area=none",
    "progressive.image_size=16",
    "progressive.dropout_rate=0.1",
    "model.eval_size=16",
    "optimizer.ema_momentum=0",
)


class Notes(keras.callbacks.Callback):
    """Writes down what it is told, and stops where it is asked to."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.stop_at = stop_at
        self.lines = []
        self.logs = {}

    def _note(self, *line):
        self.lines.append(line)
        if line == self.stop_at:
            self.model.stop_training = True

    def on_train_begin(self, logs=None):
        self._note("train begins", self.params["epochs"], self.params["steps"])

    def on_epoch_begin(self, epoch, logs=None):
        self._note("epoch begins", epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self._note("batch begins", batch)

    def on_train_batch_end(self, batch, logs=None):
        assert logs["loss"] > 0
        self._note("batch ends", batch)

    def on_epoch_end(self, epoch, logs=None):
        self.logs[epoch] = logs
        self._note("epoch ends", epoch)

    def on_train_end(self, logs=None):
        self._note("train ends")


def run(workdir, *settings, **options):
    experiment = override(get_experiment("digits-smoke"), (*SETTINGS, *settings))
    return train(experiment, workdir, strategy="cpu", **options)


def epoch_lines(epoch):
    batches = [(f"batch {x}", n) for n in (0, 1) for x in ("begins", "ends")]
    return [("epoch begins", epoch), *batches, ("epoch ends", epoch)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two stages, its records and what a callback saw."""
    notes = Notes()
    workdir = tmp_path_factory.mktemp("whole") / "run"
    records = run(workdir, callbacks=[notes])
    return workdir, records, notes


def test_callbacks_begin_and_end_once_and_count_epochs_over_the_stages(whole):
    _, records, notes = whole
    assert notes.lines == [
        ("train begins", 4, 2),
        *(line for epoch in range(4) for line in epoch_lines(epoch)),
        ("train ends",),
    ]
    assert [record["stage"] for record in records] == [1, 1, 2, 2]


def test_logs_are_the_numbers_of_the_record(whole):
    _, records, notes = whole
    for record in records:
        logs = notes.logs[record["epoch"] - 1]
        assert logs == {
            "loss": record["loss"],
            "accuracy": record["accuracy"],
            "learning_rate": record["learning_rate"],
            "val_loss": record["eval_loss"],
            "val_accuracy": record["eval_accuracy"],
            "val_top5_accuracy": record["eval_top5_accuracy"],
        }


def without_times(records):
    times = ("seconds", "images_per_second")
    return [{k: v for k, v in x.items() if k not in times} for x in records]


def assert_same_weights(workdir, other):
    networks = [load_run(path, "last") for path in (workdir, other)]
    for found, wanted in zip(*(x.get_weights() for x in networks), strict=True):
        assert found.tobytes() == wanted.tobytes()


@pytest.mark.slow
def test_stopped_within_an_epoch_a_run_goes_on_there(tmp_path, whole):
    """Also over the border of stages, which the callback does not see."""
    notes = Notes(stop_at=("batch ends", 0))
    records = run(tmp_path / "run", callbacks=[notes])
    assert records == []  # Of whole epochs.
    assert notes.lines[-3:] == [("batch ends", 0), ("epoch ends", 0), ("train ends",)]
    assert steps_saved(tmp_path / "run") == 1
    later = Notes(stop_at=("epoch ends", 2))
    records = run(tmp_path / "run", callbacks=[later])
    assert later.lines[1:4] == [
        ("epoch begins", 0), ("batch begins", 1), ("batch ends", 1),
    ]  # fmt: skip
    assert [record["epoch"] for record in records] == [1, 2, 3]
    # Without settings: the folder has them.
    records = train(None, tmp_path / "run", strategy="cpu")
    assert without_times(records) == without_times(whole[1])
    assert_same_weights(tmp_path / "run", whole[0])


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_disk_that_gets_full_loses_nothing(tmp_path, whole):
    metrics = tmp_path / "run" / "metrics.jsonl"
    away = metrics.with_suffix(".away")

    def fill(epoch, logs):
        if epoch == 2:
            metrics.rename(away)
            metrics.symlink_to("/dev/full")

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=fill)
    with pytest.raises(
        OSError, match=f"The disk of {tmp_path}/run is full.*resume with"
    ):
        run(tmp_path / "run", callbacks=[callback])
    metrics.unlink()
    away.rename(metrics)
    records = train(None, tmp_path / "run", strategy="cpu")
    assert without_times(records) == without_times(whole[1])
    assert_same_weights(tmp_path / "run", whole[0])


@pytest.mark.slow
def test_the_epoch_in_which_a_callback_stops_is_evaluated(tmp_path):
    notes = Notes(stop_at=("epoch ends", 0))
    (record,) = run(tmp_path / "run", "loop.evaluate_steps=99", callbacks=[notes])
    assert "val_accuracy" not in notes.logs[0]  # It had not asked yet.
    assert record["eval_accuracy"] >= 0
    assert (tmp_path / "run" / "final.weights.h5").exists()


@pytest.mark.parametrize(
    ("monitored", "mode", "expected"),
    [
        ("val_accuracy", "auto", "max"),
        ("val_top5_accuracy", "auto", "max"),
        ("val_accuracy", "min", "min"),
        ("val_loss", "auto", "auto"),
    ],
)
def test_accuracies_are_better_if_higher(monitored, mode, expected):
    callback = keras.callbacks.EarlyStopping(monitored, mode=mode)
    loop._set_mode(callback)
    assert callback.mode == expected


@pytest.fixture(name="callback")
def fixture_callback(tmp_path):
    experiment, functions = get_experiment("digits-smoke"), [lambda *_: None] * 3
    checkpoints = Checkpoints(tmp_path, keep=1)
    return loop.LoopCallback(
        experiment, Devices("cpu"), checkpoints, Position(7), *functions
    )


def test_a_checkpoint_is_due_if_any_of_the_last_steps_passed_it(callback):
    stage = types.SimpleNamespace(batch_size=1)
    callback.experiment = override(
        callback.experiment, ["loop.checkpoint_steps=5", "loop.evaluate_steps=99"]
    )
    callback.num_epochs, callback.position = 9, Position()
    callback.set_model(types.SimpleNamespace(measured=dict, stop_training=False))
    saved = []
    for name, function in {
        "_save": lambda is_best: saved.append(callback.position.step),
        "_look": lambda: None,
        "_record": lambda *_: {},
    }.items():
        setattr(callback, name, function)
    for epoch in range(4):  # Each of three steps, in one execution.
        callback.segment = Segment(stage, epoch, epoch + 1, 0, 3)
        callback.on_train_batch_end(2, {"loss": 1.0})
        callback.on_epoch_end(epoch)
    assert saved == [6, 12]


def test_the_chief_decides_also_where_others_have_no_callbacks(callback, monkeypatch):
    monkeypatch.setattr(loop, "from_chief", lambda devices, number: 1)
    assert callback._tell_epoch(0, {})


def test_each_evaluation_sees_all_images_however_many_steps_run_at_once(tmp_path):
    # One step at once in the first stage, two in the second.
    settings = ("progressive.batch_sizes=64,32", "loop.steps_per_execution=2")
    records = run(tmp_path / "run", *settings, "data.eval_split=test[:96]", "epochs=2")
    assert [record["stage"] for record in records] == [1, 2]
    found = evaluate_run(tmp_path / "run", checkpoint="last", strategy="cpu")
    last = {name: records[-1][f"eval_{name}"] for name in found}
    assert found == pytest.approx(last, rel=1e-5)


def test_the_first_signal_stops_after_the_step_and_the_second_at_once(callback):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with loop.stopped_by_signals(callback):
        callback._stop_if_asked()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted, match="Stopped by SIGTERM after step 7"):
            callback._stop_if_asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_thread_trains_without_handlers_of_signals(callback):
    before, within = signal.getsignal(signal.SIGTERM), []

    def train_there():
        with loop.stopped_by_signals(callback):
            within.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=train_there)
    thread.start()
    thread.join()
    assert within == [before]


@pytest.mark.slow
def test_early_stopping_of_keras_leaves_the_best_weights_at_the_end(tmp_path):
    stopping = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=1, min_delta=1, restore_best_weights=True
    )
    first = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: first.append(stopping.model.result.get_weights())
    )
    records = run(tmp_path / "run", callbacks=[stopping, keep])
    assert [record["epoch"] for record in records] == [1, 2]
    assert stopping.stopped_epoch == 1
    found = load_run(tmp_path / "run", "last").get_weights()
    assert all((x == y).all() for x, y in zip(found, first[0], strict=True))


@pytest.mark.long
def test_patience_ends_a_run_with_its_best_weights(tmp_path, capsys):
    # So fast a step that the network is worse for it, or no better.
    settings = ("loop.patience=1", "optimizer.learning_rate=3", "epochs=8")
    records = run(tmp_path / "run", *settings)
    accuracies = [record["eval_accuracy"] for record in records]
    assert len(records) < 8
    assert accuracies[-1] <= accuracies[-2] == max(accuracies)
    shown = capsys.readouterr()
    assert "the last 1 evaluations were no better" in shown.out
    assert "patience 1/1" in shown.err
    best = f"best.weights.h5, of the best evaluation: accuracy {accuracies[-2]:.2%}"
    assert best in shown.out
    position = Checkpoints(tmp_path / "run" / "checkpoints", 1).position()
    assert (position.epoch, position.evaluations_since_best) == (len(records), 1)
    # It is finished: started again, it trains nothing, and with more patience it does.
    again = train(None, tmp_path / "run", strategy="cpu")
    assert again == records
    experiment = override(
        get_experiment("digits-smoke"),
        (*SETTINGS, *settings, "loop.patience=2"),
    )
    longer = train(experiment, tmp_path / "run", strategy="cpu")
    assert len(longer) > len(records)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == longer
