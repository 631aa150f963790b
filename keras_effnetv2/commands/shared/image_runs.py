"""Commands that give a row of results for each of many images."""

import argparse
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.classifying import Row as ImageRow
from keras_effnetv2.classification.inputs import Item, items
from keras_effnetv2.commands.shared import result_files
from keras_effnetv2.commands.shared.result_files import Layout, Row, UnfinishedRows
from keras_effnetv2.data.printable import printable
from keras_effnetv2.progress import Progress

_QUICK = 2.0  # Seconds: of less no rate is told.
# Flags that results depend on.
_SETTINGS = ("model", "variant", "weights", "workdir", "checkpoint", "image_size")


def add_output_arguments(
    parser: argparse.ArgumentParser, formats: Sequence[str]
) -> None:
    """Where the rows go, and in which form; the first format is usual."""
    parser.add_argument(
        "--format",
        choices=formats,
        help=f"default: what the name of --output ends in, or else {formats[0]}",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write there instead of to the screen, unreadable images too with what is "
        "wrong; stopped, the same command goes on where it was",
    )
    parser.add_argument(
        "--batch_size", type=int, default=32, help="images at a time (default: 32)"
    )


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
    path = pathlib.Path(name).expanduser()
    if not path.exists():
        return 0
    inside = path.iterdir() if path.is_dir() else ()
    return max(x.stat().st_mtime_ns for x in (path, *inside))


def print_rows(
    classifier: Classifier,
    images: Sequence[str],
    output: str,
    make_row: Callable[[ImageRow], Row],
    layout: Layout,
    kind: str,
) -> int:
    """Prints a row of each image; returns how many could not be read."""
    num_failed = 0

    def rows() -> Iterator[Row]:
        nonlocal num_failed
        found = find_images(images)
        is_shown = not sys.stdout.isatty()
        for row in _computed(classifier, found, output, make_row, is_shown):
            num_failed += row["error"] is not None
            if row["error"] is not None and kind == "table":
                print("error:", row["error"], file=sys.stderr, flush=True)
            else:
                yield row

    result_files.write_text(layout, kind, rows(), sys.stdout)
    return num_failed


def write_rows(
    classifier: Classifier,
    images: Sequence[str],
    output: str,
    make_row: Callable[[ImageRow], Row],
    unfinished: UnfinishedRows,
) -> None:
    """Adds a row of each image that is not there yet."""
    found = [x for x in find_images(images) if x.name not in unfinished.done]
    if unfinished.done:
        print(
            f"Going on: {len(unfinished.done):,} images are done, {len(found):,} are "
            "left.",
            file=sys.stderr,
        )
    rows = _computed(classifier, found, output, make_row, True)
    while batch := [*itertools.islice(rows, classifier.batch_size)]:
        unfinished.append(batch)


def find_images(names: Sequence[str]) -> list[Item]:
    """Every file, those in folders and in their folders too, once."""
    return [*{item.name: item for item in items(names)}.values()]


def with_progress(
    classifier: Classifier, images: Sequence[Item], output: str, is_shown: bool = True
) -> Iterator[ImageRow]:
    """What a classifier's `rows` gives, and on standard error how far it is."""
    if not is_shown:
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


def _computed(
    classifier: Classifier,
    images: Sequence[Item],
    output: str,
    make_row: Callable[[ImageRow], Row],
    is_shown: bool,
) -> Iterator[Row]:
    for row in with_progress(classifier, images, output, is_shown):
        error = None if row.error is None else str(row.error)
        yield {"file": row.name, "error": error, **make_row(row)}


def report(path: str | os.PathLike, unfinished: UnfinishedRows) -> int:
    """Says what a finished file holds; the exit code."""
    num_failed = unfinished.num_failed
    print(f"{printable(path)}: {len(unfinished.done):,} images", flush=True)
    return report_failures(num_failed, len(unfinished.done))


def report_failures(num_failed: int, num_images: int | None = None) -> int:
    """Counts what could not be read, on standard error; the exit code."""
    if not num_failed:
        return 0
    total = "" if num_images is None else f" of {num_images:,}"
    print(f"{num_failed:,}{total} images could not be read.", file=sys.stderr)
    return 1
