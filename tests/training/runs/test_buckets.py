"""Runs whose work folder and data are in a bucket, killed and not."""

import json
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import create_model, training
from keras_effnetv2.commands.shared.classifiers import Classifier
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.reporting.records import Records
from keras_effnetv2.training.runs import array_files
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position
from keras_effnetv2.training.runs.run import train
from tests import forked
from tests.buckets.bucket_server import BucketServer
from tests.buckets.storage import Settings
from tests.tiny_networks import NANO, NANO_SETTINGS
from tests.training import run_processes
from tests.training.devices import test_workers
from tests.training.reporting.run_records import make_record

_DATA, _RUNS = "training-data", "training-runs"
# An epoch of three steps, each of them saved.
QUICK = (
    *NANO_SETTINGS,
    "data.source=imagenet_tfrecord",
    "data.num_train_images=none",
    "data.num_classes=3",
    "data.eval_split=validation",
    "augmentation.policy=none",
    "progressive.num_stages=1",
    "progressive.image_size=16,16",
    "model.eval_size=16",
    "loop.checkpoint_steps=1",
    "batch_size=8",
    "schedule.warmup_epochs=0",
    "epochs=1",
)


def write_records(path, labels, size=16):
    """An official file of small pictures of noise."""
    random = np.random.default_rng(len(labels))
    with tf.io.TFRecordWriter(str(path)) as writer:
        for label in labels:
            pixels = random.integers(0, 256, (size, size, 3), "uint8")
            png = tf.io.encode_png(pixels).numpy()
            feature = {
                "image/encoded": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[png])
                ),
                "image/class/label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[1 + label])
                ),
            }
            features = tf.train.Features(feature=feature)
            example = tf.train.Example(features=features)
            writer.write(example.SerializeToString())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    for number in range(2):
        write_records(folder / f"train-{number}", [0, 1, 2] * 4)
    write_records(folder / "validation-0", [0, 1, 2] * 2)
    return folder


@pytest.fixture(scope="module")
def server(data):
    with (
        BucketServer({_DATA: data, _RUNS: None}, latency=0.005) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        server.use(monkeypatch)
        yield server


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """On this machine."""
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    run_processes.finish(workdir, *QUICK, f"data.directory={data}")
    return workdir


def start(server, name, log, *settings):
    workdir = f"gs://{_RUNS}/{name}"
    directory = f"data.directory=gs://{_DATA}"
    parts = run_processes.command(workdir, *settings, directory)
    return forked.Process(parts, log, server.environment)


def finish(server, name, log, *settings):
    code = start(server, name, log, *settings).wait()
    text = log.read_text(errors="replace")
    assert code == 0, text[-3000:]
    return text


def copied(server, name, folder):
    """The work folder of a run in the bucket, on this machine."""
    for path in server.names(_RUNS):
        if path.startswith(f"{name}/"):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(server.read(_RUNS, path))
    return folder / name


def steps_saved(server, name):
    names = [x.rpartition("/")[2] for x in server.names(_RUNS) if x.startswith(name)]
    found = (x.partition(".")[0][5:] for x in names if x.endswith(".safetensors"))
    return max(map(int, found), default=0)


@pytest.mark.long
def test_killed_while_a_checkpoint_is_written_the_bits_are_the_same(
    server, undisturbed, tmp_path
):
    log = tmp_path / "log"
    half = "step_000000002.safetensors"
    server.change(stall_uploads_after=1000, stall_suffix=half)
    process = start(server, "killed", log, *QUICK)
    key = f"{_RUNS}/killed/checkpoints/{half}"
    while not server.counts().bytes_written.get(key):
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.02)
    process.kill()
    process.wait()
    server.change(stall_uploads_after=0)
    assert steps_saved(server, "killed") == 1
    text = finish(server, "killed", log, *QUICK)
    assert "Resuming after step 1, in epoch 1 of 1." in text
    workdir = copied(server, "killed", tmp_path)
    run_processes.assert_same_bits(workdir, undisturbed)
    found, wanted = ({x.name for x in y.iterdir()} for y in (workdir, undisturbed))
    assert found == wanted
    names = {x.name for x in (workdir / "checkpoints").iterdir()}
    assert names == {x.name for x in (undisturbed / "checkpoints").iterdir()}
    check_readers(workdir)


def assert_same_weights(model, other):
    for one, another in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, another)


def check_readers(workdir):
    """What reads a run gives the same in the bucket as of its copy on this machine."""
    remote = f"gs://{_RUNS}/killed"
    image = np.zeros((16, 16, 3), "uint8")
    scores = [Classifier(x).scores(image) for x in (workdir, remote)]
    np.testing.assert_array_equal(*scores)
    models = [
        create_model(NANO, weights=f"{x}/final.weights.h5") for x in (workdir, remote)
    ]
    assert_same_weights(*models)
    measured = [training.evaluate_run(x, strategy="cpu") for x in (workdir, remote)]
    assert measured[0] == measured[1]
    with pytest.raises(ValueError, match="seed is 0 there and 1 now"):
        settings = [*QUICK, f"data.directory=gs://{_DATA}", "seed=1"]
        train(override(get_experiment("digits-smoke"), settings), remote)


@pytest.mark.slow
def test_killed_five_times_in_a_slow_bucket_the_bits_are_the_same(
    server, data, tmp_path
):
    settings = (*QUICK, "epochs=12", "loop.checkpoint_steps=2")
    local = tmp_path / "whole"
    run_processes.finish(local, *settings, f"data.directory={data}")
    server.change(**vars(Settings(fail_share=0.02)))
    log = tmp_path / "log"
    random = np.random.default_rng(0)
    for _ in range(5):
        process = start(server, "slow", log, *settings)
        before = steps_saved(server, "slow")
        while process.poll() is None and steps_saved(server, "slow") <= before:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 2))
        process.kill()
        assert process.wait() != 0
    assert "Resuming after step" in finish(server, "slow", log, *settings)
    server.change(**vars(Settings(latency=0.005)))
    run_processes.assert_same_bits(copied(server, "slow", tmp_path), local)


def arrays(number):
    shapes = {"a": (3, 5), "b": (40,), "c": (), "d": (0, 2), "e": (8, 8)}
    return {x: np.full(shapes[x], number, "float32") for x in shapes}


def test_a_large_checkpoint_is_there_when_all_its_parts_are(server, monkeypatch):
    monkeypatch.setattr(array_files, "_PART", 200)  # Bytes: three parts.
    checkpoints = Checkpoints(f"gs://{_RUNS}/large", keep=2)
    for step in (1, 2):
        path = checkpoints.save(arrays(step), Position(step))
    found, position = checkpoints.restore()
    assert position == checkpoints.position() == Position(2)
    for name, array in arrays(2).items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    parts = [x for x in server.names(_RUNS) if x.startswith("large/step_000000002.")]
    assert len(parts) == 4
    server.remove(_RUNS, parts[0])
    assert checkpoints.restore()[1].step == 1
    path.unlink()  # As if the process had been killed before it was written.
    checkpoints.save(arrays(3), Position(3))
    steps = {int(x[11:20]) for x in server.names(_RUNS) if x.startswith("large/step_")}
    assert steps == {1, 3}
    checkpoints.save(arrays(4), Position(4))
    assert len([x for x in server.names(_RUNS) if x.startswith("large/")]) == 8


def test_records_are_added_to_a_file_that_cannot_be_appended_to(server):
    records = Records(f"gs://{_RUNS}/records/metrics.jsonl")
    assert records.read() == []
    for epoch in (1, 2, 3):
        records.append(make_record(epoch))
    lines = server.read(_RUNS, "records/metrics.jsonl").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    records.drop_after(make_record(2)["step"])
    assert records.read() == [make_record(epoch) for epoch in (1, 2)]


def test_a_part_of_another_name_is_not_read(server):
    import safetensors.numpy

    buffer = safetensors.numpy.save({}, {"parts": '["../secret"]', "position": "{}"})
    server.put(_RUNS, "odd/step_000000001.safetensors", buffer)
    with pytest.raises(ValueError, match="None of the checkpoints"):
        Checkpoints(f"gs://{_RUNS}/odd", keep=2).restore()


@pytest.mark.parametrize(
    ("workdir", "changes", "message"),
    [
        ("gs://training-none/run", {}, "no gs://training-none"),
        (f"gs://{_RUNS}/new", {"read_only": [_RUNS]}, f"no permission for {_RUNS}"),
        (f"gs://{_RUNS}/new", {"refused": [_RUNS]}, f"no permission for {_RUNS}"),
        ("abc://place/run", {}, "TensorFlow knows no abc://"),
    ],
)
def test_what_cannot_be_a_work_folder(server, workdir, changes, message):
    """Before the data is looked at: there is none."""
    server.change(**changes)
    settings = [*QUICK, "data.directory=gs://training-none"]
    experiment = override(get_experiment("digits-smoke"), settings)
    with pytest.raises(ValueError, match=f"cannot be written: .*{message}") as caught:
        train(experiment, workdir)
    assert "\n" not in str(caught.value)
    server.change(read_only=(), refused=())
    # What could not be written is tried once more when Python frees the file.
    assert not any(x.startswith("new/c") for x in server.names(_RUNS))
    assert not pathlib.Path("gs:").exists()


def test_no_work_folder_in_a_bucket_for_what_needs_files_here():
    from keras_effnetv2.finetuning.procedure import finetune

    with pytest.raises(ValueError, match="finetune works in a local folder"):
        finetune("photographs", f"gs://{_RUNS}/tuned")


@pytest.mark.slow
def test_two_workers_share_a_bucket(server, data, tmp_path):
    """The chief writes, and both go on from the same step after both were killed."""
    workdir, log = f"gs://{_RUNS}/workers", tmp_path / "log"
    settings = (*QUICK, *test_workers.ALIKE_STEPS, "epochs=4")
    settings += (f"data.directory=gs://{_DATA}",)

    def begin(workdir, *settings, options, environment):
        parts = run_processes.command(workdir, *settings, options=options)
        return forked.Process(parts, log, server.environment | environment)

    def start_both():
        addresses = test_workers.free_addresses(2)
        return [
            test_workers.start_worker(workdir, x, addresses, *settings, begin=begin)
            for x in range(2)
        ]

    workers = start_both()
    while steps_saved(server, "workers") < 4:
        assert {x.poll() for x in workers} == {None}, log.read_text()[-3000:]
        time.sleep(0.02)
    for worker in workers:
        worker.kill()
        worker.wait()
    assert [x.wait() for x in start_both()] == [0, 0], log.read_text()[-3000:]
    assert "Resuming after step" in log.read_text()
    run_processes.finish(tmp_path / "one", *settings)
    lines = server.read(_RUNS, "workers/metrics.jsonl").decode().splitlines()
    found = [json.loads(x)["loss"] for x in lines]
    assert found == pytest.approx(test_workers.losses(tmp_path / "one"), abs=1e-4)
