"""Costs of LiteRT models, and their agreement with the Keras model."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_effnetv2.export.checks.roundtrip import (
    MAX_DIFFERENCE,
    check_differences,
    relative_difference,
    run_engine,
)
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.lite.sample_images import Samples

REPORT = "report.md"

# Format and output -> maximum difference from rounding, relative to the largest number.
# In float16 it changes probabilities of undecided images more: by 0.014 for one of 600
# digits, as in Keras with float16 weights.
_MAX_DIFFERENCES = {
    ("float32", "probabilities"): MAX_DIFFERENCE,
    ("float32", "log_probabilities"): MAX_DIFFERENCE,
    ("float16", "log_probabilities"): 1e-2,
}
# Below this, logarithms of float32 probabilities are dominated by rounding.
_TINY = 1e-30
# Probabilities near 0 hide differences, which logarithms show. Of several classes, the
# largest logarithm is log 2 at least; of one class, all may be about 0.
_NUMBERS = {
    "probabilities": (lambda x: x, 0.0),
    "log_probabilities": (lambda x: np.log(np.maximum(x, _TINY)), math.log(2)),
}


@dataclasses.dataclass(frozen=True)
class FormatReport:
    """One file of an export.

    Attributes:
        megabytes: its size, 10^6 bytes.
        agreement: share of images whose best class is the Keras model's.
        largest_difference: largest difference of a probability.
        mean_difference: mean difference of probabilities, over images and classes.
        milliseconds: median time per image, on one thread.
        times_float32: time relative to the format float32; None without that.
        accuracy: accuracy; None if the classes of the images are unknown.
    """

    megabytes: float
    agreement: float
    largest_difference: float
    mean_difference: float
    milliseconds: float
    times_float32: float | None
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Report:
    """All files of an export.

    Attributes:
        images: the images that they were compared on.
        formats: reports by format.
        differences: differences of the float formats, relative to the largest number.
        keras_accuracy: accuracy of the model; None if the images' classes are unknown.
    """

    images: str
    formats: dict[str, FormatReport]
    differences: dict[str, float]
    keras_accuracy: float | None

    def contents(self) -> dict[str, Any]:
        """The report for a manifest."""
        return {
            "compared_on": self.images,
            "keras_accuracy": self.keras_accuracy,
            "formats": {x: dataclasses.asdict(y) for x, y in self.formats.items()},
            "differences": self.differences,
        }


def measure(
    folder: pathlib.Path,
    classifier: Classifier,
    samples: Samples,
    formats: Sequence[str],
) -> Report:
    """Runs the models of a folder in another process, and compares them.

    Raises:
        ValueError: a float model does not agree with the Keras model, or the engine
            refuses one.
    """
    wanted = keras_probabilities(classifier, samples.pixels)
    inputs = {name: {"images": samples.pixels} for name in formats}
    results = run_engine("litert", folder, inputs)
    found = {name: results[name]["probabilities"] for name in formats}
    differences = {}
    for (name, output), largest in _MAX_DIFFERENCES.items():
        if name in found:
            measured = {f"{name}/{output}": _difference(output, wanted, found[name])}
            check_differences(measured, largest)
            differences |= measured
    seconds = {name: float(np.median(results[name]["seconds"])) for name in formats}
    rows = {
        name: _row(folder / f"{name}.tflite", wanted, found[name], seconds, samples)
        for name in formats
    }
    accuracy = _accuracy(wanted, samples.labels)
    return Report(samples.description, rows, differences, accuracy)


def keras_probabilities(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    """`(num, classes)` from the model itself, in float32."""
    inputs, outputs = classifier.model.inputs[0], classifier.model.outputs[0]
    # A model's own `predict` may have been traced before LoRA was added.
    scores = keras.Model(inputs, outputs).predict(pixels, verbose=0)
    return np.asarray(classifier.probabilities(scores))


def write_report(report: Report, name: str, folder: pathlib.Path) -> None:
    """Writes `report.md`."""
    (folder / REPORT).write_text(report_text(report, name), encoding="utf-8")


def report_text(report: Report, name: str) -> str:
    """The report as Markdown, one row per file."""
    columns = {
        "File": lambda x, row: f"{x}.tflite",
        "MB": lambda x, row: f"{row.megabytes:.2f}",
        "Top-1 agreement": lambda x, row: f"{row.agreement:.2%}",
        "Largest difference": lambda x, row: f"{row.largest_difference:.1e}",
        "Mean difference": lambda x, row: f"{row.mean_difference:.1e}",
        "Time, ms": lambda x, row: f"{row.milliseconds:.2f}",
    }
    if "float32" in report.formats:
        columns["Of float32's"] = lambda x, row: f"{row.times_float32:.2f}"
    if report.keras_accuracy is not None:
        columns["Accuracy"] = lambda x, row: f"{row.accuracy:.2%}"
    rows = [[*columns], ["---"] + ["---:"] * (len(columns) - 1)]
    for item in report.formats.items():
        rows.append([cell(*item) for cell in columns.values()])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    lines = [
        f"# {name} in LiteRT",
        table,
        f"Compared with the Keras model in float32 on {report.images}: share of equal "
        "best classes, and differences of probabilities. Times are medians of single "
        "images on one thread, with the files taking turns.",
    ]
    if report.keras_accuracy is not None:
        lines.append(f"Accuracy of the Keras model: {report.keras_accuracy:.2%}.")
    return "\n\n".join(lines) + "\n"


def _difference(output: str, wanted: np.ndarray, found: np.ndarray) -> float:
    numbers, least = _NUMBERS[output]
    return relative_difference(numbers(wanted), numbers(found), least)


def _row(
    path: pathlib.Path,
    wanted: np.ndarray,
    found: np.ndarray,
    seconds: dict[str, float],
    samples: Samples,
) -> FormatReport:
    differences = np.abs(found - wanted)
    own, first = seconds[path.stem], seconds.get("float32")
    return FormatReport(
        megabytes=path.stat().st_size / 1e6,
        agreement=float(np.mean(found.argmax(1) == wanted.argmax(1))),
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        milliseconds=own * 1000,
        times_float32=None if first is None else own / first,
        accuracy=_accuracy(found, samples.labels),
    )


def _accuracy(scores: np.ndarray, labels: np.ndarray | None) -> float | None:
    return None if labels is None else float(np.mean(scores.argmax(1) == labels))
