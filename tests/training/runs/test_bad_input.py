"""What cannot be trained is refused in one line, before anything is trained."""

import os
import pathlib

import pytest

from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.progressive.learning import plan_segments
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position
from keras_effnetv2.training.runs.feasibility import check
from keras_effnetv2.training.runs.loop import LoopCallback
from keras_effnetv2.training.runs.run import train
from tests.data import image_folders
from tests.tiny_networks import NANO_SETTINGS
from tests.training import run_processes

FOLDER = ("data.source=folder", "data.num_train_images=none", "data.num_classes=2")


def refused(workdir, message, *settings, **arguments):
    experiment = override(get_experiment("digits-smoke"), settings)
    with pytest.raises(ValueError, match=message) as caught:
        train(experiment, workdir, **arguments)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (FOLDER, "directory .--set data.directory=FOLDER"),
        (("data.source=imagenet_tfrecord",), "directory .--set data.directory=FOLDER"),
        ((*FOLDER, "data.directory=nowhere"), "nowhere"),
        (("data.source=imagenet_tfrecord", "data.directory=nowhere"), "nowhere"),
        (("data.source=idx", "data.directory=nowhere"), "nowhere"),
        (("data.eval_split=validation",), "validation"),
        (("data.num_classes=7",), "7"),
        (
            ("batch_size=5000",),
            "A batch has 5000 images, but the training data only 1437",
        ),
        (
            ("optimizer.accumulation_steps=3",),
            "cannot be divided into 1 devices times 3",
        ),
        (("progressive.image_size=4,32",), "at least 8 pixels per side. Received: 4"),
        (("model.eval_size=7",), "at least 8 pixels per side. Received: 7"),
        (("model.frozen=nothing*",), "no layer is called 'nothing\\*'"),
        (("progressive.num_stages=9",), "an epoch for each"),
        (
            ("schedule.warmup_epochs=4",),
            "warms up for 4 epochs, but training has only 3",
        ),
    ],
)
def test_settings_that_cannot_be_trained(tmp_path, settings, message):
    refused(tmp_path / "run", message, *settings)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_an_empty_folder_and_a_single_class(tmp_path):
    data = tmp_path / "images"
    data.mkdir()
    directory = f"data.directory={data}"
    refused(tmp_path / "run", str(data), *FOLDER, directory)
    (data / "cats").mkdir()
    (data / "cats" / "cat.jpg").write_bytes(b"")
    refused(tmp_path / "run", "class", *FOLDER, directory)


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux's /proc")
def test_data_that_fails_is_named_and_leaves_no_file_open(tmp_path):
    data, workdir = tmp_path / "images", tmp_path / "run"
    for split in ("train", "test"):
        for path in image_folders.write(data / split, {"cat": 8, "dog": 8}).rglob(
            "*.*"
        ):
            image_folders.damage(path)
    refused(
        workdir,
        "8 of the 16 images of .train. cannot be read",
        *NANO_SETTINGS,
        *FOLDER,
        f"data.directory={data}",
        "batch_size=8",
        "data.on_error=skip",
    )
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    opened = [os.readlink(link) for link in links if os.path.exists(link)]
    assert not [path for path in opened if path.startswith(str(workdir))]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    refused(tmp_path / "run", "cannot be written")


def test_a_work_folder_that_is_a_file_or_not_utf_8(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    refused(path, "The work folder .* cannot be written")
    refused(tmp_path / image_folders.NOT_UTF8, "work folder .* is not UTF-8")


def test_a_work_folder_of_another_experiment_or_other_settings(tmp_path):
    from keras_effnetv2.training.runs.workdir import open_workdir

    experiment = get_experiment("digits-smoke")
    open_workdir(tmp_path, experiment)
    (tmp_path / "checkpoints").mkdir()
    open_workdir(tmp_path, override(experiment, ["loop.keep=5"]))
    with pytest.raises(ValueError, match="of the experiment 'digits-smoke'"):
        open_workdir(tmp_path, get_experiment("digits"))
    with pytest.raises(ValueError, match="seed is 0 there and 1 now"):
        open_workdir(tmp_path, override(experiment, ["seed=1"]))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        open_workdir(tmp_path, experiment)


def test_other_images_have_the_classes_of_the_run_unless_they_say_otherwise(tmp_path):
    from keras_effnetv2.training.runs.evaluation import experiment_to_evaluate
    from keras_effnetv2.training.runs.workdir import open_workdir

    open_workdir(tmp_path, get_experiment("digits-smoke"))
    others = ("data.source=folder", "data.directory=elsewhere")
    found = experiment_to_evaluate(tmp_path, others).data
    assert (found.source, found.num_classes) == ("folder", 10)
    found = experiment_to_evaluate(tmp_path, (*others, "data.num_classes=3")).data
    assert found.num_classes == 3


def test_a_run_that_was_refused_leaves_its_folder_to_the_corrected_one(tmp_path):
    from keras_effnetv2.training.runs.workdir import open_workdir, read_experiment

    refused(tmp_path, "no layer is called", "model.frozen=nothing*")
    corrected = override(get_experiment("digits-smoke"), ["model.frozen=stem*"])
    open_workdir(tmp_path, corrected)
    assert read_experiment(tmp_path) == corrected


def test_a_batch_that_does_not_divide_among_devices(tmp_path):
    """In a process of its own: devices cannot be changed later."""
    script = tmp_path / "on_three_devices.py"
    script.write_text(
        "import tensorflow as tf\n"
        "tf.config.set_logical_device_configuration("
        "tf.config.list_physical_devices('CPU')[0],"
        "[tf.config.LogicalDeviceConfiguration()] * 3)\n"
        "from keras_effnetv2.__main__ import run\nrun()"
    )
    process = run_processes.start(
        tmp_path / "run",
        program=(script, "train"),
        options=("--strategy", "mirrored"),
    )
    assert process.wait() == 2
    (line,) = run_processes.errors_in(process.log)
    assert "A batch of 64 images cannot be divided into 3 devices" in line


def test_several_steps_at_once_on_mirrored_devices():
    experiment = get_experiment("digits-smoke")
    experiment = override(experiment, ["loop.steps_per_execution=2"])
    devices = Devices("mirrored", None, 2, kind="CPU")
    with pytest.raises(ValueError, match="Several steps at once run on one device"):
        check(experiment, experiment.stages(1437), devices)


def test_devices_that_do_not_divide_into_groups():
    experiment = override(get_experiment("digits-smoke"), ["model.bn_group_size=4"])
    stages = experiment.stages(1437)
    for num_devices in (1, 2, 4, 8, 16):  # Fewer than a group share all.
        check(experiment, stages, Devices("tpu", None, num_devices, kind="TPU"))
    experiment = override(experiment, ["batch_size=60"])
    with pytest.raises(ValueError, match="6 devices cannot be divided into groups of"):
        check(experiment, experiment.stages(1437), Devices("tpu", None, 6, kind="TPU"))


def test_the_command_line_says_errors_in_one_line(tmp_path):
    for settings, message in (
        (("optimizer.speed=1",), "No setting is called 'optimizer.speed'"),
        (("batch_size=many",), "batch_size must be a whole number"),
    ):
        process = run_processes.start(tmp_path / "run", *settings)
        assert process.wait() == 2
        assert message in run_processes.errors_in(process.log)[-1]
    assert not pathlib.Path(tmp_path / "run").exists()


@pytest.mark.slow
def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_checkpoint(tmp_path):
    workdir = tmp_path / "run"
    settings = (
        "optimizer.name=sgd",
        "optimizer.learning_rate=1e20",
        "schedule.warmup_epochs=1",
    )
    process = run_processes.start(workdir, *run_processes.QUICK, *settings)
    assert process.wait() == 2
    (line,) = run_processes.errors_in(process.log)
    assert "at step" in line or "after step" in line
    assert "The last good checkpoint is in" in line
    # The first step of the warm-up has rate 0.
    assert run_processes.steps_saved(workdir) >= 1


@pytest.mark.parametrize(
    ("saved", "message"),
    [(False, "No checkpoint had been saved"), (True, "last good checkpoint is in")],
)
def test_a_last_good_checkpoint_is_named_where_there_is_one(tmp_path, saved, message):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    if saved:
        checkpoints.save({}, Position())
    functions = [lambda *_: None] * 3
    experiment = get_experiment("digits-smoke")
    callback = LoopCallback(
        experiment, Devices("cpu"), checkpoints, Position(), *functions
    )
    callback.segment = next(plan_segments(experiment.stages(64), lambda stage: 1))
    callback.on_train_batch_end(0, {"loss": float("nan")})
    with pytest.raises(FloatingPointError, match=f"at step 1 .*{message}"):
        callback.on_epoch_end(0)
