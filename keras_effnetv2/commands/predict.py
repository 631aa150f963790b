"""`predict`: the best classes of image files."""

import argparse
import functools
import pathlib
from typing import Any

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.classifying import Row as ImageRow
from keras_effnetv2.classification.predictions import Prediction
from keras_effnetv2.commands.shared import image_runs, result_files
from keras_effnetv2.commands.shared.arguments import (
    add_model_arguments,
    check_checkpoint,
    check_counts,
)
from keras_effnetv2.commands.shared.classifiers import open_classifier
from keras_effnetv2.commands.shared.result_files import Layout, Row

FORMATS = ("table", "csv", "jsonl", "parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, the network, how many classes of each, and where to."""
    add_model_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=5, help="classes an image (default: 5)"
    )
    image_runs.add_output_arguments(parser, FORMATS)


def run(args: argparse.Namespace) -> int:
    """Prints or writes the best classes of every image; 1 if one is unreadable."""
    check_counts(args, "image_size", "top", "batch_size")
    check_checkpoint(args)
    kind = image_runs.chosen_format(args, FORMATS)
    settings = image_runs.settings(args, top=args.top)
    path = None if args.output is None else pathlib.Path(args.output).expanduser()
    unfinished = path and result_files.UnfinishedRows(path, settings)
    classifier = open_classifier(args)
    layout = _layout(min(args.top, len(classifier.class_names)))
    make_row = functools.partial(_classes, classifier, args.top)
    if path is None or unfinished is None:
        num_failed = image_runs.print_rows(
            classifier, args.images, "scores", make_row, layout, kind
        )
        return image_runs.report_failures(num_failed)
    image_runs.write_rows(classifier, args.images, "scores", make_row, unfinished)
    write = functools.partial(result_files.write_file, layout, kind)
    result_files.finish(unfinished, path, write)
    return image_runs.report(path, unfinished)


def _classes(classifier: Classifier, top: int, row: ImageRow) -> Row:
    names = classifier.class_names
    best = Prediction(row.source, row.values, names, row.error).top(top)
    return {
        "classes": [
            {
                "index": x.index,
                **({"wordnet_id": names[x.index].wordnet_id} if names[0][0] else {}),
                "name": x.name,
                "score": round(x.score, 6),
            }
            for x in best
        ]
    }


def _layout(top: int) -> Layout:
    kinds = {"index": "whole", "name": "text", "score": "real"}
    columns = {f"{x}_{i + 1}": kinds[x] for i in range(top) for x in kinds}

    def flat(row: Row) -> list[Any]:
        values = [found[x] for found in row["classes"] for x in kinds]
        return [row["file"], row["error"], *(values or [None] * len(columns))]

    return Layout({"file": "text", "error": "text", **columns}, flat, _lines)


def _lines(row: Row) -> list[str]:
    """The file and, below it, a line for each class, best first."""
    if row["error"] is not None:
        return [row["file"], f"     error  {row['error']}"]
    lines = [
        "  ".join(filter(None, (f"{x['score']:10.4f}", x.get("wordnet_id"), x["name"])))
        for x in row["classes"]
    ]
    return [row["file"], *lines]
