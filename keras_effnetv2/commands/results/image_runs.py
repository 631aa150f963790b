"""Commands that give a row of results for each of many images."""

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
from keras_effnetv2.paths import as_path
from keras_effnetv2.progress import Progress

_QUICK = 2.0  # Seconds: of less no rate is told.
# Images from which a network is folded: before, that takes longer than it saves.
MANY = 512
# Flags that results depend on.
_SETTINGS = ("model", "variant", "weights", "workdir", "checkpoint", "image_size")


@dataclasses.dataclass(frozen=True)
class Task:
    """What is asked of a classifier for each image, and what comes of it.

    Attributes:
        output: `"scores"` or `"features"`.
        make_row: a row's own entries, of what the classifier gives.
        layout: of the rows.
        write: a file of some format, of rows.
    """

    output: str
    make_row: Callable[[ImageRow], Row]
    layout: Layout
    write: Callable[[str, Iterator[Row], pathlib.Path], None]


TaskOf = Callable[[Classifier], Task]


def chosen_format(args: argparse.Namespace, formats: Sequence[str]) -> str:
    """The format that the flags mean.

    Raises:
        ValueError: it is a file's, and none is named.
        ImportError: a package that writes it is missing.
    """
    suffix = pathlib.Path(args.output or "").suffix.removeprefix(".").lower()
    kind = args.format or (suffix if suffix in formats else formats[0])
    result_files.check_format(kind, args.output)
    return kind


def settings(args: argparse.Namespace, **others: Any) -> dict[str, Any]:
    """What the results depend on, to be kept with them."""
    values = {name: getattr(args, name) for name in _SETTINGS}
    paths = filter(None, (args.model, args.weights, args.workdir))
    return {**values, "modified": max(map(_modified, paths), default=0), **others}


def _modified(name: str) -> int:
    """When a file, or the newest right in a folder, was written, ns; 0 of no path."""
    path = as_path(name)
    try:
        if not path.exists():
            return 0
        inside = path.iterdir() if path.is_dir() else ()
        return max(x.stat().st_mtime_ns for x in (path, *inside))
    except FileError:  # An address on the Hub, say.
        return 0


def run(
    args: argparse.Namespace,
    kind: str,
    kept: Mapping[str, Any],
    task_of: TaskOf,
) -> int:
    """Prints or writes a row of each image; 1 if one could not be read.

    Args:
        args: with the flags of models and of `add_output_arguments`.
        kind: the format.
        kept: what the rows depend on.
        task_of: what is asked of the classifier.
    """
    if args.output is None:
        if args.engine != ENGINES[0]:
            raise InputError(
                f"--engine {args.engine} writes to a file. Name it: --output "
                "FILE.parquet"
            )
        classifier = open_classifier(args, _are_many(args.images))
        return _print_rows(classifier, args.images, task_of(classifier), kind)
    check_engine(args.engine)
    path = pathlib.Path(args.output).expanduser()
    unfinished = UnfinishedRows(path, kept)
    write = _write_of_fleet if args.engine == "ray" else _write
    # Those that are done count too, so that the others are computed like them.
    task = write(args, task_of, unfinished, _are_many(args.images))
    result_files.finish(unfinished, path, kind, task.write)
    print(f"{printable(path)}: {len(unfinished.done):,} images", flush=True)
    return report_failures(unfinished.num_failed, len(unfinished.done))


def _write(
    args: argparse.Namespace,
    task_of: TaskOf,
    unfinished: UnfinishedRows,
    is_many: bool,
) -> Task:
    """Adds a row of each image that is not there yet; gives the task."""
    classifier = open_classifier(args, is_many)
    task = task_of(classifier)
    write_rows(classifier, args.images, task, unfinished)
    return task


def write_rows(
    classifier: Classifier,
    images: Sequence[str | os.PathLike],
    task: Task,
    unfinished: UnfinishedRows,
) -> None:
    """Adds a row of each image that is not there yet."""
    rows = _rows(classifier, _left(images, unfinished), task, True)
    while batch := [*itertools.islice(rows, classifier.batch_size)]:
        unfinished.append(batch)


def _write_of_fleet(
    args: argparse.Namespace,
    task_of: TaskOf,
    unfinished: UnfinishedRows,
    is_many: bool,
) -> Task:
    """As `_write`, of a Ray cluster."""
    fleet_rows.leave_devices()
    task = task_of(open_classifier(args))  # What is wrong with it is known at once.
    found = _left(args.images, unfinished)
    rows_of = functools.partial(_listed_rows, task_of)
    for rows in fleet_rows.rows(args, found, rows_of, is_many):
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
        print(f"Going on: {done} images are done, {left} are left.", file=sys.stderr)
    return found


def find_images(names: Sequence[str | os.PathLike]) -> list[Item]:
    """Every file, those in folders and in their folders too, once."""
    return [*{item.name: item for item in items(names)}.values()]


def _are_many(names: Sequence[str | os.PathLike]) -> bool:
    return len(find_images(names)) >= MANY


def with_progress(
    classifier: Classifier, images: Sequence[Item], output: str, is_shown: bool = True
) -> Iterator[ImageRow]:
    """What a classifier's `rows` gives; of several batches, also how far it is."""
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
    """Counts what could not be read, on standard error; the exit code."""
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
        # On a screen the rows say how far it is.
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
