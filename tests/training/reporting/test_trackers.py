"""A run in MLflow's store and in Weights & Biases, offline, begun and gone on with."""

import json
import struct

import pytest

from keras_effnetv2.training import get_experiment, override
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.settings import list_settings
from keras_effnetv2.training.reporting import trackers
from keras_effnetv2.training.reporting.reporter import Reporter
from keras_effnetv2.training.reporting.trackers import check_trackers, open_trackers
from keras_effnetv2.training.runs.checkpoints import Position
from keras_effnetv2.training.runs.workdir import Workdir
from tests.training.reporting.run_records import STAGES, make_record

EXPERIMENT = override(get_experiment("digits-smoke"), ["seed=7"])


@pytest.fixture
def workdir(tmp_path):
    workdir = Workdir(tmp_path / "my-run")
    workdir.path.mkdir()
    return workdir


def report(workdir, epochs, log=(), step=0):
    """A process that trains some epochs, as the reporter is told of them."""
    reporter = Reporter(
        workdir, EXPERIMENT, STAGES, 50, Devices("cpu"), Position(step), log
    )
    with reporter:
        for epoch in epochs:
            reporter.report_epoch(make_record(epoch))


def ids_of(workdir):
    return json.loads(workdir.tracking.read_text())


@pytest.mark.parametrize("store", ["sqlite", "files"])
def test_a_run_in_mlflow_has_settings_and_epochs_and_goes_on(
    store, workdir, tmp_path, monkeypatch
):
    mlflow = pytest.importorskip("mlflow")
    address = f"sqlite:///{tmp_path}/store.db" if store == "sqlite" else str(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # Where it is taken back.
    report(workdir, [1, 2], ["mlflow"])
    client = mlflow.MlflowClient()
    run = client.get_run(ids_of(workdir)["mlflow"])
    assert run.info.run_name == "my-run" and run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "digits-smoke"
    assert run.data.params.keys() == list_settings(EXPERIMENT).keys()
    assert run.data.params["seed"] == "7"
    assert run.data.metrics["eval/accuracy"] == pytest.approx(0.6)
    # The next process need not say it again, and adds to the same run.
    with pytest.raises(KeyboardInterrupt):
        report_until_stopped(workdir, 3, step=10)
    run = client.get_run(run.info.run_id)
    assert run.info.status == "KILLED"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(x.step, x.value) for x in history] == [(5, 1), (10, 1 / 2), (15, 1 / 3)]


def report_until_stopped(workdir, epoch, step):
    reporter = Reporter(workdir, EXPERIMENT, STAGES, 50, Devices("cpu"), Position(step))
    with reporter:
        reporter.report_epoch(make_record(epoch))
        raise KeyboardInterrupt


def test_a_run_of_wandb_is_written_offline_and_goes_on(workdir, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    report(workdir, [1, 2], ["wandb"])
    first_id = ids_of(workdir)["wandb"]
    report(workdir, [3], step=10)
    assert ids_of(workdir)["wandb"] == first_id
    losses, seeds = [], set()
    for path in sorted(workdir.path.glob("wandb/offline-run-*/*.wandb")):
        assert path.stem == f"run-{first_id}"
        for record in wandb_records(path.read_bytes()):
            items = {x.nested_key[0]: x.value_json for x in record.history.item}
            if "train/loss" in items:
                losses.append((int(items["_step"]), float(items["train/loss"])))
            settings = record.config.update
            seeds |= {x.value_json for x in settings if x.key == "seed"}
    assert losses == [(5, 1), (10, 1 / 2), (15, pytest.approx(1 / 3))]
    assert seeds == {"7"}


def wandb_records(contents):
    """What an offline run has written: a log of LevelDB after a head of 7 bytes.

    https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    from wandb.proto import wandb_internal_pb2

    place, data = 7, b""
    while place < len(contents):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", contents[place + 4 : place + 7])
        data += contents[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # Whole, or its last part.
            yield wandb_internal_pb2.Record.FromString(data)
            data = b""


def test_a_tracker_that_cannot_be_opened_is_one_line(workdir, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://here")
    with pytest.raises(ValueError, match="cannot be written to MLflow") as caught:
        open_trackers(["mlflow"], workdir.tracking, EXPERIMENT)
    assert "\n" not in str(caught.value)
    assert not workdir.tracking.exists()


class Unreachable:
    """A tracker whose server has gone away."""

    def __init__(self, *_):
        self.id = "17"

    def write(self, metrics, step):
        raise ConnectionError("no answer")

    def close(self, status):
        raise TimeoutError("no answer")


def test_a_tracker_that_fails_later_is_only_warned_of(workdir, monkeypatch, caplog):
    monkeypatch.setattr(trackers, "check_trackers", lambda names: None)
    monkeypatch.setitem(trackers._TRACKERS, "mlflow", Unreachable)
    report(workdir, [1, 2], ["mlflow"])
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" failed to ")[2] for line in lines] == [
        "record step 5: no answer",
        "record step 10: no answer",
        "note the end: no answer",
    ]


def test_unknown_trackers_are_refused():
    with pytest.raises(ValueError, match="log takes mlflow, wandb. Received: comet"):
        check_trackers(["comet"])
