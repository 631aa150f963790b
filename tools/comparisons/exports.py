"""Compares exports with their Keras models: size, agreement, latency.

    python tools/comparisons/exports.py [--subjects lite0 b0 custom] [--repeats 9]
        [--json FILE]

Every format of `keras_effnetv2.export` is written, run in another process on the same
images as the model, and timed: all exports of a model are loaded in separate processes
and take turns, since machines are noisy, and each round gives a ratio to Keras.
"""

import argparse
import dataclasses
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_effnetv2 import export
from keras_effnetv2.commands.export import FORMATS
from keras_effnetv2.export.checks.engines import ENGINES
from keras_effnetv2.export.checks.roundtrip import relative_difference, run_engine

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from export_comparison import classifiers  # noqa: E402
from export_comparison.stopwatch import Stopwatch  # noqa: E402
from tables.result_files import write_results  # noqa: E402

# Engines whose exports are folders of several models.
_OF_FOLDERS = ("hub", "litert")


@dataclasses.dataclass(frozen=True)
class Reading:
    """An export's file in an engine.

    Attributes:
        title: for the table.
        format: a function of `keras_effnetv2.export`.
        engine: a name of `ENGINES`.
        file: file to deploy, in the export's folder.
        group: name of its inputs and outputs for `run_engine`.
        scale: scale of its pixels.
    """

    title: str
    format: str
    engine: str
    file: str
    group: str
    scale: float = 1.0


# fmt: off
READINGS = (
    Reading("SavedModel", "saved_model", "saved_model", "", "serving_default"),
    Reading("SavedModel in OpenVINO", "saved_model", "openvino", "", "all"),
    Reading("ONNX in ONNX Runtime", "onnx", "onnx", "model.onnx", "all"),
    Reading("ONNX in OpenVINO", "onnx", "openvino", "model.onnx", "all"),
    Reading("LiteRT float32", "litert", "litert", "float32.tflite", "float32"),
    Reading("LiteRT float16", "litert", "litert", "float16.tflite", "float16"),
    Reading("LiteRT dynamic", "litert", "litert", "dynamic.tflite", "dynamic"),
    Reading("LiteRT int8", "litert", "litert", "int8.tflite", "int8"),
    Reading("TF Hub classification", "hub", "hub", "classification", "classification",
            1 / 255),
)
# fmt: on


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        model: title.
        reading: title.
        megabytes: size of the file, 10^6 bytes.
        difference: difference of logits, relative to the largest logit.
        agreement: share of the images with Keras's best class.
        latency: for a batch of 1, relative to Keras's; median over the rounds.
        correct: images whose best class is right, such as `"19 of 20"`; empty if
            unknown.
    """

    model: str
    reading: str
    megabytes: float
    difference: float
    agreement: float
    latency: float
    correct: str


def available() -> list[Reading]:
    """The readings whose formats and engines are available."""
    formats = {*export.__all__} & {*FORMATS}
    return [x for x in READINGS if x.format in formats and x.engine in ENGINES]


def compare(
    subject: classifiers.Subject, repeats: int, folder: pathlib.Path
) -> tuple[list[Row], list[float]]:
    """The table's lines of one model, and the gain by folding.

    Args:
        subject: the model and its images.
        repeats: rounds of timing.
        folder: folder to write exports to.

    Returns:
        The lines, and for each round the latency of the SavedModel relative to one
        whose batch norms are not folded.
    """
    formats = _write(subject, folder)
    readings = [x for x in available() if x.format in formats]
    wanted = classifiers.logits(subject.model, subject.images)
    found = [_outputs(x, subject, folder) for x in readings]
    turns = _turns(readings, subject, repeats, folder)
    rows = [
        Row(
            subject.title,
            reading.title,
            _megabytes(folder / reading.format / reading.file),
            relative_difference(wanted, logits),
            float(np.mean(wanted.argmax(1) == logits.argmax(1))),
            statistics.median(turn[reading.title] / turn["keras"] for turn in turns),
            _correct(logits, subject.labels),
        )
        for reading, logits in zip(readings, found, strict=True)
    ]
    pairs = [(turn.get("SavedModel"), turn["unfolded"]) for turn in turns]
    return rows, [folded / unfolded for folded, unfolded in pairs if folded]


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [
        "| model | format | MB | largest difference | agreement | top-1 | latency |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.model} | {row.reading} | {row.megabytes:.1f} | {row.difference:.1e} "
        f"| {row.agreement:.0%} | {row.correct} | {row.latency:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _correct(logits: np.ndarray, labels: np.ndarray | None) -> str:
    if labels is None:
        return ""
    return f"{np.sum(logits.argmax(1) == labels)} of {len(labels)}"


def _write(subject: classifiers.Subject, folder: pathlib.Path) -> list[str]:
    """Writes every format and the reference; returns the formats that succeeded."""
    options: Mapping[str, dict[str, Any]] = {
        "litert": {
            "representative": subject.others,
            "evaluation": subject.others[:1],  # We compare more images ourselves.
            "logits": True,
        }
    }
    written = []
    for name in sorted({x.format for x in available()}):
        _say(f"{subject.title}: writing {name}")
        write = getattr(export, name)
        try:
            write(subject.model, folder / name, **options.get(name, {}))
            written.append(name)
        except ValueError as error:  # The table leaves it out.
            _say(f"{subject.title}: {name} is refused: {error}")
    export.saved_model(subject.model, folder / "unfolded", fold=False)
    subject.model.save(folder / "model.keras")
    np.save(folder / "image.npy", subject.images[:1])
    return written


def _outputs(
    reading: Reading, subject: classifiers.Subject, folder: pathlib.Path
) -> np.ndarray:
    """Logits, from another process."""
    _say(f"{subject.title}: running {reading.title}")
    path = folder / reading.format
    if reading.engine not in _OF_FOLDERS:
        path /= reading.file
    images = (subject.images * reading.scale).astype("float32")
    found = run_engine(reading.engine, path, {reading.group: {"images": images}})
    return found[reading.group]["logits"]


def _turns(
    readings: Sequence[Reading],
    subject: classifiers.Subject,
    repeats: int,
    folder: pathlib.Path,
) -> list[dict[str, float]]:
    """For each round, seconds per image by title of the reading, and of Keras."""
    _say(f"{subject.title}: loading all of them")
    image = folder / "image.npy"
    watches = {
        "keras": Stopwatch("keras", folder / "model.keras", image),
        "unfolded": Stopwatch("saved_model", folder / "unfolded", image),
    }
    for x in readings:
        watches[x.title] = Stopwatch(x.engine, folder / x.format / x.file, image)
    turns = []
    for number in range(repeats):
        _say(f"{subject.title}: timing, round {number + 1} of {repeats}")
        turns.append({title: watch.seconds() for title, watch in watches.items()})
    for watch in watches.values():
        watch.close()
    return turns


def _megabytes(path: pathlib.Path) -> float:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(x.stat().st_size for x in files if x.is_file()) / 1e6


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _caption(num_images: int, repeats: int) -> str:
    return (
        "Released weights: foolbox's 20 labelled photographs. The others: "
        f"{num_images} pieces of photographs of scikit-image and scikit-learn, or "
        "digits for the custom model; random weights, uneven batch norms with the "
        "statistics of other such images, and a last layer that makes the mean of "
        "their logits 0. All through the evaluation crop; int8 is calibrated on other "
        "photographs. Largest difference: of logits, "
        "relative to the largest. Latency: of one image relative to the compiled "
        f"function of Keras's predict, median of {repeats} rounds of a process for "
        "each; one thread, float32 pixels in, NumPy out."
    )


def _median_and_quartiles(ratios: Sequence[float]) -> str:
    if len(ratios) < 2:
        return "not measured"
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = classifiers.SUBJECTS
    parser.add_argument("--subjects", nargs="+", choices=names, default=names)
    parser.add_argument("--num_images", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=9, help="rounds of timing")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of rows")
    arguments = parser.parse_args()
    rows, gains = [], []
    for name in arguments.subjects:
        _say(f"{name}: building")
        subject = classifiers.subject(name, arguments.num_images)
        with tempfile.TemporaryDirectory() as folder:
            found, ratios = compare(subject, arguments.repeats, pathlib.Path(folder))
        rows += found
        gains.append(f"{subject.title} {_median_and_quartiles(ratios)}")
    if arguments.json:
        values = [dataclasses.asdict(row) for row in rows]
        write_results(arguments.json, values)
    print(_caption(arguments.num_images, arguments.repeats), table(rows), sep="\n\n")
    print(
        "\nLatency of the SavedModel with batch norms folded, relative to that without "
        f"(quartiles): {'; '.join(gains)}."
    )


if __name__ == "__main__":
    main()
