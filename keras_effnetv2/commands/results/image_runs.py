"""Commands that produce a row of results for each of many images."""

import argparse
import dataclasses
import functools
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.classifying import Row as ImageRow
from keras_effnetv2.classification.inputs import Item, items
from keras_effnetv2.commands.results import fleet_rows, result_files
from keras_effnetv2.commands.results.result_files import Layout, Row, UnfinishedRows
from keras_effnetv2.commands.shared.classifiers import open_classifier
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import FileError, InputError
from keras_effnetv2.fleet import ENGINES, check_engine
from keras_effnetv2.paths import AnyPath, as_path
from keras_effnetv2.progress import Progress

_QUICK = 2.0  # Seconds; no rate is printed for less.
# Flags that the results depend on.
_SETTINGS = ("model", "variant", "weights", "workdir", "checkpoint", "image_size")
# Files of work folders, exports, repositories and checkpoints.
_MODEL_SUFFIXES = (
    ".bin", ".gz", ".h5", ".index", ".json", ".keras", ".onnx", ".pb", ".safetensors",
    ".tar", ".tflite", ".tgz",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Task:
    """What a classifier computes for each image, and the rows made from it.

    Attributes:
        output: `"scores"` or `"features"`.
        make_row: makes the entries of a row from the classifier's output.
        layout: layout of the rows.
        write: writes rows to a file in some format.
    """

    output: str
    make_row: Callable[[ImageRow], Row]
    layout: Layout
    write: Callable[[str, Iterator[Row], pathlib.Path], None]


TaskOf = Callable[[Classifier], Task]


def chosen_format(args: argparse.Namespace, formats: Sequence[str]) -> str:
    """The format that the flags ask for.

    Raises:
        ValueError: a format for files, without `--output`.
        ImportError: a package that writes it is missing.
    """
    suffix = pathlib.Path(args.output or "").suffix.removeprefix(".").lower()
    kind = args.format or (suffix if suffix in formats else formats[0])
    result_files.check_format(kind, args.output)
    return kind


def settings(args: argparse.Namespace, **others: Any) -> dict[str, Any]:
    """What the results depend on, to be stored with them."""
    values = {name: getattr(args, name) for name in _SETTINGS}
    paths = filter(None, (args.model, args.weights, args.workdir))
    return {**values, "modified": max(map(_modified, paths), default=0), **others}


def _modified(name: str) -> int:
    """When a model's file, or its newest one in a folder, was written, ns; else 0."""
    path = as_path(name)
    try:
        if not path.exists():
            return 0
        found = _model_files(path) if path.is_dir() else [path]
        return max((x.stat().st_mtime_ns for x in found), default=0)
    except FileError:  # For example, an address on the Hub.
        return 0


def _model_files(folder: AnyPath) -> Iterator[AnyPath]:
    """Files of a model in a folder and its subfolders, such as `checkpoints`.

    Others may be results of these commands, which write into the folder themselves.
    """
    for path in folder.iterdir():
        inside = path.iterdir() if path.suffix == "" and path.is_dir() else [path]
        for file in inside:
            if file.suffix in _MODEL_SUFFIXES and not file.name.startswith("."):
                yield file


def run(
    args: argparse.Namespace,
    kind: str,
    kept: Mapping[str, Any],
    task_of: TaskOf,
) -> int:
    """Prints or writes a row for each image; returns 1 if one could not be read.

    Args:
        args: the flags of models and of `add_output_arguments`.
        kind: the format.
        kept: settings that the rows depend on.
        task_of: makes the task for a classifier.
    """
    if args.output is None:
        if args.engine != ENGINES[0]:
            raise InputError(
                f"--engine {args.engine} writes to a file. Name it: --output "
                "FILE.parquet"
            )
        classifier = open_classifier(args)
        return _print_rows(classifier, args.images, task_of(classifier), kind)
    check_engine(args.engine)
    path = pathlib.Path(args.output).expanduser()
    unfinished = UnfinishedRows(path, kept)
    write = _write_of_fleet if args.engine == "ray" else _write
    task = write(args, task_of, unfinished)
    result_files.finish(unfinished, path, kind, task.write)
    print(f"{printable(path)}: {len(unfinished.done):,} images", flush=True)
    return report_failures(unfinished.num_failed, len(unfinished.done))


def _write(
    args: argparse.Namespace, task_of: TaskOf, unfinished: UnfinishedRows
) -> Task:
    """Adds a row for each image without one; returns the task."""
    classifier = open_classifier(args)
    task = task_of(classifier)
    write_rows(classifier, args.images, task, unfinished)
    return task


def write_rows(
    classifier: Classifier,
    images: Sequence[str | os.PathLike],
    task: Task,
    unfinished: UnfinishedRows,
) -> None:
    """Adds a row for each image without one."""
    rows = _rows(classifier, _left(images, unfinished), task, True)
    while batch := [*itertools.islice(rows, classifier.batch_size)]:
        unfinished.append(batch)


def _write_of_fleet(
    args: argparse.Namespace, task_of: TaskOf, unfinished: UnfinishedRows
) -> Task:
    """As `_write`, on a Ray cluster."""
    fleet_rows.leave_devices()
    task = task_of(open_classifier(args))  # Fails early if it cannot be opened.
    found = _left(args.images, unfinished)
    rows_of = functools.partial(_listed_rows, task_of)
    for rows in fleet_rows.rows(args, found, rows_of):
        unfinished.append(rows)
    return task


def _listed_rows(
    task_of: TaskOf, classifier: Classifier, images: Sequence[Item]
) -> list[Row]:
    return [*_rows(classifier, images, task_of(classifier), False)]


def _left(names: Sequence[str | os.PathLike], unfinished: UnfinishedRows) -> list[Item]:
    """Images that have no row yet."""
    found = [x for x in find_images(names) if x.name not in unfinished.done]
    if unfinished.done:
        done, left = f"{len(unfinished.done):,}", f"{len(found):,}"
        print(f"Resuming: {done} images are done, {left} are left.", file=sys.stderr)
    return found


def find_images(names: Sequence[str | os.PathLike]) -> list[Item]:
    """All files, also those in folders at any depth, each once."""
    return [*{item.name: item for item in items(names)}.values()]


def with_progress(
    classifier: Classifier, images: Sequence[Item], output: str, is_shown: bool = True
) -> Iterator[ImageRow]:
    """Results of a classifier's `rows`, with progress if there are several batches."""
    if not is_shown or len(images) <= classifier.batch_size:
        yield from classifier.rows(images, output)
        return
    progress, start = Progress("Images", len(images)), time.monotonic()
    for row in classifier.rows(images, output):
        yield row
        progress.advance(1)
    progress.finish()
    seconds = time.monotonic() - start
    if seconds >= _QUICK:
        print(f"{len(images) / seconds:,.1f} images a second", file=sys.stderr)


def report_failures(num_failed: int, num_images: int) -> int:
    """Prints how many could not be read to standard error; returns the exit code."""
    if not num_failed:
        return 0
    print(
        f"{num_failed:,} of {num_images:,} images could not be read.", file=sys.stderr
    )
    return 1


def _print_rows(
    classifier: Classifier, images: Sequence[str], task: Task, kind: str
) -> int:
    found, num_failed = find_images(images), 0

    def rows() -> Iterator[Row]:
        nonlocal num_failed
        # On a screen the rows themselves show the progress.
        for row in _rows(classifier, found, task, not sys.stdout.isatty()):
            num_failed += row["error"] is not None
            if row["error"] is not None and kind == "table":
                print("error:", row["error"], file=sys.stderr, flush=True)
            else:
                yield row

    result_files.write_text(task.layout, kind, rows(), sys.stdout)
    return report_failures(num_failed, len(found))


def _rows(
    classifier: Classifier, images: Sequence[Item], task: Task, is_shown: bool
) -> Iterator[Row]:
    for row in with_progress(classifier, images, task.output, is_shown):
        error = None if row.error is None else str(row.error)
        yield {"file": row.name, "error": error, **task.make_row(row)}
