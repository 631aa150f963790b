"""The results of a fine-tuning run: model, predictions, and what to do next."""

import csv
import dataclasses
import functools
import io
import json
import pathlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.classification import Classifier
from keras_effnetv2.classification.inputs import Item
from keras_effnetv2.data.decoding.images import to_rgb, unreadable
from keras_effnetv2.data.decoding.retrying import OF_DATA, describe_damage, retried
from keras_effnetv2.data.labelled_files import BETWEEN_LABELS, read_table
from keras_effnetv2.data.sources import Source
from keras_effnetv2.files import replace_file, replacing
from keras_effnetv2.finetuning.dataset import names_of
from keras_effnetv2.finetuning.photographs.work_files import SURVEY
from keras_effnetv2.progress import Progress, format_duration
from keras_effnetv2.reports.data_survey import DataSurvey
from keras_effnetv2.reports.measures import describe_calibration
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.feeding import Feed
from keras_effnetv2.training.runs.trained import load_run

MODEL, PREDICTIONS = "model.keras", "predictions.csv"
_COLUMNS = ("file", "label", "part", "predicted", "score")
_MAX_NAMED = 200  # Copies, and unreadable files, in the report.
_LIKELY = 0.5  # Score above which a label is predicted, if there may be several.


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """A classifier of a user's photographs.

    Attributes:
        model: the network with its best weights; takes pixels 0..255.
        figures: `validation_accuracy`, `num_validation` and, if there is a test part,
            `test_accuracy` and `num_test`; with several labels, an image counts if all
            of them are right. `calibration_error`: expected calibration error of the
            scores as trained; `calibrated_error`: with the logits divided by
            `temperature`, as in the model. `seconds`: time of the whole call.
        paths: output files by name: `workdir`, `model`, `report`, `predictions`,
            `survey`, `split`, `choices` and `config`; `example`, a held-out photograph;
            `learning_rates`, the picture of a sweep, if one was made.
    """

    model: keras.Model
    figures: Mapping[str, float]
    paths: Mapping[str, pathlib.Path]

    def lines(self) -> list[str]:
        """Accuracies, paths, and what to do next, for people."""
        found = [
            f"{part} accuracy: {self.figures[f'{part}_accuracy']:.1%} of "
            f"{self.figures[f'num_{part}']:,} images"
            for part in ("validation", "test")
            if f"num_{part}" in self.figures
        ]
        if "calibration_error" in self.figures:
            found.append(describe_calibration(self.figures))
        names = ("model", "report", "predictions")
        written = [f"{name}: {self.paths[name]}" for name in names]
        took = f"Done in {format_duration(self.figures['seconds'])}. What to do next:"
        return [*found, *written, "", took, *self.commands()]

    def commands(self) -> list[str]:
        """Shell commands to do next: predict, explain, export."""
        model, workdir = str(self.paths["model"]), self.paths["workdir"]
        example = self.paths.get("example") and str(self.paths["example"])
        words = [["export", "onnx", "--weights", model]]
        words[0] += ["--output", str(workdir / "onnx")]
        if example is not None:
            why = ["--output", str(workdir / "why.png")]
            words.insert(0, ["predict", example, "--model", model])
            words.insert(1, ["explain", example, "--model", model, *why])
        return [shlex.join(["python", "-m", "keras_effnetv2", *x]) for x in words]


def read_survey(workdir: pathlib.Path) -> DataSurvey | None:
    """What the report says about the photographs; None if they were not surveyed."""
    path = workdir / SURVEY
    if not path.exists():
        return None
    found = json.loads(path.read_bytes())
    if "duplicates" not in found:  # A named dataset.
        return None
    same = [f"The same: {', '.join(group)}" for group in found["duplicates"]]
    unreadable = [f"{file}: {why}" for file, why in found["unreadable"].items()]
    warnings = [*found["warnings"], *same[:_MAX_NAMED], *unreadable[:_MAX_NAMED]]
    counts = {name: {"images": count} for name, count in found["classes"].items()}
    return DataSurvey(warnings, counts)


def write_model(workdir: pathlib.Path) -> keras.Model:
    """The best network of a run, also written there as a `.keras` file."""
    model = load_run(workdir)
    with replacing(workdir / MODEL) as temporary:
        model.save(temporary)
    return model


def write_predictions(
    model: keras.Model,
    experiment: Experiment,
    test_split: str | None,
    workdir: pathlib.Path,
) -> dict[str, float]:
    """Writes predictions for all held-out images; returns accuracies.

    Args:
        model: a model that returns probabilities.
        experiment: defines the images.
        test_split: split that is held out besides the validation part, if any.
        workdir: where to write.
    """
    parts = {"validation": experiment.data.eval_split}
    parts |= {"test": test_split} if test_split else {}
    rows, figures = [], {}
    classify = Classifier(model, batch_size=experiment.batch_size)
    for part, split in parts.items():
        found = [*_predictions(classify, experiment, part, split)]
        rows += found
        hits = [row["label"] == row["predicted"] for row in found]
        figures |= {
            f"{part}_accuracy": float(np.mean(hits)) if hits else float("nan"),
            f"num_{part}": len(hits),
        }
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    contents = stream.getvalue().encode("utf-8", "surrogateescape")
    replace_file(workdir / PREDICTIONS, contents)
    return figures


def _predictions(
    classify: Classifier, experiment: Experiment, part: str, split: str
) -> Iterator[dict[str, Any]]:
    """A row for each readable image of a split, as from `predict`."""
    data, names = experiment.data, None
    source = Feed.open(data, split).source
    if data.source == "csv":
        names = names_of(read_table(data.name, data.multi_label), split)
    truths: dict[int, np.ndarray] = {}
    progress = Progress(f"{part} images predicted", source.num_examples)
    rows = classify.rows(_items(source, names, truths), "scores")
    for place, row in enumerate(rows):
        if row.values is not None:
            shown = _row(source, row.values, truths.pop(place))
            yield {"file": row.name, "part": part, **shown}
        progress.advance(1)
    progress.finish()


def _items(
    source: Source, names: Sequence[str] | None, truths: dict[int, np.ndarray]
) -> Iterator[Item]:
    """The images of a source, for a classifier.

    Args:
        source: source of the images.
        names: names of the images. None: the source's own.
        truths: receives the label of each image that is read, by index.
    """

    def read(place: int, name: str) -> bytes | np.ndarray:
        index = tf.constant(place, tf.int64)
        try:
            image, label = retried(lambda: source.example(index), name)
        except OF_DATA as error:
            raise unreadable(name, describe_damage(error)) from error
        truths[place] = label.numpy()
        return image.numpy() if image.dtype == tf.string else to_rgb(image).numpy()

    for place in range(source.num_examples):
        name = names[place] if names else source.name_of(place)
        yield Item(name, None, functools.partial(read, place, name))


def _row(source: Source, scores: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    names = source.class_names or tuple(map(str, range(source.num_classes)))
    places = np.flatnonzero(scores >= _LIKELY)
    if not source.multi_label:
        places = [scores.argmax()]
    return {
        "label": _joined(names, np.flatnonzero(truth > 0)),
        "predicted": _joined(names, places),
        "score": f"{scores.max():.4f}",
    }


def _joined(names: tuple[str, ...], places: Any) -> str:
    return BETWEEN_LABELS.join(names[place] for place in places)
