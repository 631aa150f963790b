"""What comes out of a fine-tuning: the model, its predictions, and what to do next."""

import csv
import dataclasses
import io
import json
import pathlib
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_effnetv2.data.labelled_files import BETWEEN_LABELS, read_table
from keras_effnetv2.data.pipeline import evaluation_batches
from keras_effnetv2.data.sources import Source
from keras_effnetv2.files import replace_file, replacing
from keras_effnetv2.finetuning.dataset import SURVEY, names_of
from keras_effnetv2.networks.functional import find_normalization
from keras_effnetv2.progress import Progress, format_duration
from keras_effnetv2.reports.survey import DataSurvey
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.feeding import Feed, data_errors_raised
from keras_effnetv2.training.runs.workdir import load_run

MODEL, PREDICTIONS = "model.keras", "predictions.csv"
_COLUMNS = ("file", "label", "part", "predicted", "score")
_MAX_NAMED = 200  # Copies, and unreadable files, in the report.
_LIKELY = 0.5  # Score from which one of several labels is predicted.


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """A classifier of a user's photographs.

    Attributes:
        model: the network with its best weights; takes pixels 0..255.
        figures: `validation_accuracy`, `num_validation` and, where there is a test
            part, `test_accuracy` and `num_test`; of several labels an image counts
            where all of them are right. `seconds`: of the whole call.
        paths: of what was written, by name: `workdir`, `model`, `report`,
            `predictions`, `survey`, `split`, `choices` and `config`; `example`, a
            photograph that was not trained on; `learning_rates`, the picture of a sweep
            where one was asked for.
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
        names = ("model", "report", "predictions")
        written = [f"{name}: {self.paths[name]}" for name in names]
        took = f"Done in {format_duration(self.figures['seconds'])}. What to do next:"
        return [*found, *written, "", took, *self.commands()]

    def commands(self) -> list[str]:
        """What to do next, in a shell: predict, explain, export."""
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
    """What the report says of the photographs; None where they were not looked at."""
    path = workdir / SURVEY
    if not path.exists():
        return None
    found = json.loads(path.read_bytes())
    same = [f"The same: {', '.join(group)}" for group in found["duplicates"]]
    unreadable = [f"{file}: {why}" for file, why in found["unreadable"].items()]
    warnings = [*found["warnings"], *same[:_MAX_NAMED], *unreadable[:_MAX_NAMED]]
    counts = {name: {"images": count} for name, count in found["classes"].items()}
    return DataSurvey(warnings, counts)


def write_model(workdir: pathlib.Path) -> keras.Model:
    """The best network of a run, which is written beside it as a `.keras` file."""
    if "duplicates" not in found:  # Of a dataset that has a name.
        return None
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
    """What the model says of all images that it was not trained on; accuracies.

    Args:
        model: gives probabilities.
        experiment: says where the images are.
        test_split: part that is held out besides the validation part, if there is one.
        workdir: where to write.
    """
    parts = {"validation": experiment.data.eval_split}
    parts |= {"test": test_split} if test_split else {}
    rows, figures = [], {}
    for part, split in parts.items():
        found = [*_predictions(model, experiment, part, split)]
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
    model: keras.Model, experiment: Experiment, part: str, split: str
) -> Iterator[dict[str, Any]]:
    data, feed = experiment.data, Feed.open(experiment.data, split)
    source, names = feed.source, None
    if data.source == "csv":
        names = names_of(read_table(data.name, data.multi_label), split)
    batches = evaluation_batches(
        source,
        find_normalization(model).preprocessing,
        batch_size=experiment.batch_size,
        decode_errors=feed.decode_errors,
    )
    progress, place = Progress(f"{part} images predicted", source.num_examples), 0
    with data_errors_raised(feed):
        for images, labels, weights in batches:
            scores = model.predict_on_batch(images)
            for row, truth, weight in zip(
                scores, labels.numpy(), weights.numpy(), strict=True
            ):
                if weight:
                    name = names[place] if names else source.name_of(place)
                    yield {"file": name, "part": part, **_row(source, row, truth)}
                place += 1
            progress.advance(int(weights.numpy().sum()))
    progress.finish()


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
