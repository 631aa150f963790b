"""`finetune`: from photographs to a classifier."""

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras

from keras_effnetv2.data.labelled_files import read_table
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError
from keras_effnetv2.files import full_disk_named
from keras_effnetv2.finetuning.backbone import choose_backbone
from keras_effnetv2.finetuning.dataset import (
    HUGGING_FACE,
    TFDS,
    Dataset,
    names_of,
    prepare_hugging_face,
    prepare_photographs,
    prepare_tfds,
    refuse_labels,
)
from keras_effnetv2.finetuning.deadline import FINISH_SECONDS, Deadline
from keras_effnetv2.finetuning.decisions import decide, table
from keras_effnetv2.finetuning.draft import Situation, draft_experiment
from keras_effnetv2.finetuning.options import MINUTES, Options
from keras_effnetv2.finetuning.outcome import (
    MODEL,
    PREDICTIONS,
    FineTuned,
    read_survey,
    write_model,
    write_predictions,
)
from keras_effnetv2.finetuning.photographs.work_files import CHOICES, SPLIT, SURVEY
from keras_effnetv2.finetuning.plan import Pace
from keras_effnetv2.finetuning.rates import choose_rate, plan_sweep
from keras_effnetv2.finetuning.saved_choices import (
    Chosen,
    describe_request,
    read_chosen,
    write_chosen,
)
from keras_effnetv2.finetuning.step_times import has_bfloat16, measure_pace
from keras_effnetv2.paths import is_remote
from keras_effnetv2.reports.writing import check_modules, write_and_measure
from keras_effnetv2.training.devices.process_setup import set_up_process
from keras_effnetv2.training.devices.strategies import Devices, open_devices
from keras_effnetv2.training.experiments.configuration import Experiment, Precision
from keras_effnetv2.training.progressive.feeding import Feed
from keras_effnetv2.training.runs.run import train

# Minutes from which measuring a second precision is worthwhile.
_PRECISION_MINUTES = 20.0
# Tracing for training over that in `measure_pace`: it includes the evaluation.
_TRACING_SHARE = 1.5


def finetune(
    photographs: str | os.PathLike,
    workdir: str | os.PathLike | None = None,
    *,
    labels: str | os.PathLike | None = None,
    variant: str | None = None,
    weights: str | os.PathLike | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    find_lr: bool = False,
    settings: Sequence[str] = (),
    strategy: str = "auto",
    tpu: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    log: Sequence[str] = (),
) -> FineTuned:
    """Fine-tunes a network on photographs, and prints what it does and why.

    The photographs are surveyed and split; the network, its weights and all settings
    follow from them, from the device and from the time. The same call again resumes a
    run, or returns the result of a finished one.

    Args:
        photographs: folder with a folder for each class, optionally within parts
            `train`, `validation` and `test`; or `"tfds:NAME"`, of TensorFlow Datasets;
            or `"hf://OWNER/NAME"`, of the Hugging Face Hub, or `"hf://FOLDER"`, a
            dataset that its library has saved or can load.
        workdir: work folder. None: `runs/` and the name of the folder.
        labels: table (CSV) with the columns `file` and `label`; several labels are
            separated by `;`. None: folders are classes.
        variant: the network. None: one that trains in minutes here.
        weights: initial weights, as for `create_model`, or `"none"`. None: the best
            available now.
        image_size: side of the images, pixels. None: the largest there is time for.
        batch_size: images per step. None: chosen.
        epochs: number of epochs. None: as many as there is time for.
        minutes: approximate time for everything. None: 5.
        find_lr: whether to take the learning rate that a short sweep suggests.
        settings: settings of the experiment, as for `training.override`.
        strategy: as for `training.train`; only those with a single process.
        tpu: as for `training.train`.
        callbacks: as for `training.train`.
        log: as for `training.train`.

    Returns:
        The model, its accuracies, and the paths of the output.

    Raises:
        ImportError: a package for the report is missing.
        ValueError: invalid arguments, or unusable photographs.
        Interrupted: SIGINT or SIGTERM came.
    """
    start = time.monotonic()
    check_modules()  # Of the report, before minutes of training.
    options = Options(
        variant,
        _text(weights),
        *(image_size, batch_size, epochs, minutes, tuple(settings), find_lr),
    )
    name = os.fspath(photographs)
    labels_file = _text(labels)
    if workdir is not None and is_remote(workdir):
        raise InputError(
            f"finetune works in a local folder. Received: {workdir}. Choose another "
            "--workdir; train --experiment WORKDIR --workdir gs://... trains the "
            "chosen experiment in a bucket."
        )
    folder = pathlib.Path(workdir or default_workdir(name)).expanduser()
    request = describe_request(name, labels_file, options)
    chosen = read_chosen(folder, request)
    devices = _open_devices(strategy, tpu)
    remedy = "Make room, then run the same again."
    with full_disk_named(folder, remedy):
        if chosen is None:
            chosen = _choose(
                name, labels_file, folder, request, options, devices, start
            )
        deadline = Deadline(chosen.timetable, start) if chosen.timetable else None
        train(
            *(chosen.experiment, folder),
            strategy=strategy,
            tpu=tpu,
            callbacks=[*callbacks, deadline] if deadline else callbacks,
            log=log,
        )
        if deadline and deadline.why:
            print("", deadline.why, sep="\n", flush=True)
        return _finish(chosen, folder, start)


def _text(path: str | os.PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


def default_workdir(photographs: str) -> pathlib.Path:
    """`runs/NAME`, of the name of a folder or a dataset."""
    name = photographs.removeprefix(TFDS).removeprefix(HUGGING_FACE)
    name = name.partition(":")[0].partition("@")[0] if name != photographs else name
    name = pathlib.Path(name).expanduser().resolve().name
    return pathlib.Path("runs", printable(name) or "all")


def _open_devices(strategy: str, tpu: str | None) -> Devices:
    """Opens the devices, and refuses several processes."""
    if strategy != "multiworker":
        devices = open_devices(strategy, tpu)
        if devices.num_workers == 1:
            return devices
    raise InputError(
        "finetune runs in one process. For several workers, train its experiment: "
        "train --experiment WORKDIR, with the work folder of a finetune that has begun."
    )


def _choose(
    name: str,
    labels: str | None,
    workdir: pathlib.Path,
    request: dict[str, Any],
    options: Options,
    devices: Devices,
    start: float,
) -> Chosen:
    """Surveys the photographs, measures the speed, and prints choices and reasons."""
    backbone = choose_backbone(devices.kind, options)
    dataset = _prepare(name, labels, workdir)
    print("\n".join(dataset.lines), flush=True)
    feed = Feed.open(dataset.data, dataset.data.train_split)
    num_validation = Feed.open(
        dataset.data, dataset.data.eval_split
    ).source.num_examples
    situation = Situation(
        dataset.data,
        feed.source.num_examples,
        num_validation,
        feed.source.class_counts,
        devices.kind,
        has_bfloat16(devices.kind),
        backbone,
    )
    minutes = options.minutes or MINUTES
    paces = _paces(situation, options, feed, devices, minutes)
    pace = min(paces, key=lambda pace: pace.step)
    around = _TRACING_SHARE * pace.tracing + FINISH_SECONDS
    left = 60 * minutes - around - (time.monotonic() - start)
    sweep = plan_sweep(pace, left) if options.find_lr else None
    left -= sweep.seconds if sweep else 0
    experiment, rows, timetable = decide(situation, options, paces, left)
    if sweep:
        print("Searching for a learning rate ...", flush=True)
        set_up_process(experiment, devices)
        experiment, rows = choose_rate(experiment, rows, sweep, feed, devices, workdir)
    print("", *table(rows), "", sep="\n", flush=True)
    chosen = Chosen(experiment, dataset.test_split, tuple(rows), timetable)
    write_chosen(workdir, request, chosen)
    return chosen


def _prepare(name: str, labels: str | None, workdir: pathlib.Path) -> Dataset:
    for prefix, prepare in (
        (TFDS, prepare_tfds),
        (HUGGING_FACE, prepare_hugging_face),
    ):
        if name.startswith(prefix):
            refuse_labels(name, labels)
            return prepare(name.removeprefix(prefix), workdir)
    return prepare_photographs(name, labels, workdir)


def _paces(
    situation: Situation,
    options: Options,
    feed: Feed,
    devices: Devices,
    minutes: float,
) -> list[Pace]:
    """Measured speeds, in the precisions of the device that there is time to compare.

    If epochs and image size are given, and no time, nothing depends on them.
    """
    asked = options.asks_for("model.precision")
    compares = situation.has_bfloat16 and minutes >= _PRECISION_MINUTES and not asked
    precisions: list[Precision] = ["float32"]
    if compares:
        precisions.append("mixed_bfloat16")
    if options.epochs and options.image_size and not options.minutes:
        return [Pace(0.0, 0.0, 0.0)]
    print("\nMeasuring how long a training step takes here ...", flush=True)
    found = []
    for precision in precisions:
        experiment: Experiment = draft_experiment(situation, options, precision)
        set_up_process(experiment, devices)
        found.append(measure_pace(experiment, feed, devices))
    return found


def _finish(chosen: Chosen, workdir: pathlib.Path, start: float) -> FineTuned:
    """Writes the results of a finished run, and prints where."""
    experiment = chosen.experiment
    # First: it fits the temperature, which the model is then saved with.
    report, measured = write_and_measure(
        workdir, survey=read_survey(workdir), check_training_labels=True
    )
    model = write_model(workdir)
    figures = write_predictions(model, experiment, chosen.test_split, workdir)
    names = {"model": MODEL, "report": report.name, "predictions": PREDICTIONS}
    names |= {"survey": SURVEY, "split": SPLIT, "choices": CHOICES}
    names |= {"config": "config.json", "learning_rates": "learning_rates.png"}
    paths = {name: workdir / file for name, file in names.items()}
    paths = {name: path for name, path in paths.items() if path.exists()}
    data = experiment.data
    if data.source == "csv":
        files = names_of(read_table(data.name, data.multi_label), data.eval_split)
        example = pathlib.Path(str(data.directory), files[0])
        here = pathlib.Path.cwd()
        is_below = example.is_relative_to(here)
        paths["example"] = example.relative_to(here) if is_below else example
    names = ("calibration_error", "calibrated_error", "temperature")
    figures |= {name: measured[name] for name in names if name in measured}
    figures["seconds"] = time.monotonic() - start
    result = FineTuned(model, figures, {"workdir": workdir, **paths})
    print("\n".join(["", *result.lines()]), flush=True)
    return result
