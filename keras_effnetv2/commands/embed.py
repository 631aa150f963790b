"""`embed`: the features of image files, as a network sees them."""

import argparse
import functools
import pathlib
from typing import Any

from keras_effnetv2.classification.classifying import Row as ImageRow
from keras_effnetv2.commands.shared import feature_files, image_runs, result_files
from keras_effnetv2.commands.shared.arguments import (
    add_model_arguments,
    check_checkpoint,
    check_counts,
)
from keras_effnetv2.commands.shared.classifiers import open_classifier
from keras_effnetv2.commands.shared.result_files import Layout, Row, UnfinishedRows

FORMATS = ("npz", "csv", "parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, the network, and where to."""
    add_model_arguments(parser)
    image_runs.add_output_arguments(parser, FORMATS)


def run(args: argparse.Namespace) -> int:
    """Writes the features of every image; 1 if one could not be read."""
    check_counts(args, "image_size", "batch_size")
    check_checkpoint(args)
    kind = image_runs.chosen_format(args, FORMATS)
    settings = image_runs.settings(args)
    if args.output is None:
        classifier = open_classifier(args)
        layout = _layout(classifier.num_features)
        num_failed = image_runs.print_rows(
            classifier, args.images, "features", _features, layout, kind
        )
        return image_runs.report_failures(num_failed)
    path = pathlib.Path(args.output).expanduser()
    unfinished = UnfinishedRows(path, settings)
    classifier = open_classifier(args)
    image_runs.write_rows(classifier, args.images, "features", _features, unfinished)
    if kind == "npz":
        write = functools.partial(feature_files.write_rows, settings)
    else:
        layout = _layout(None if kind == "parquet" else classifier.num_features)
        write = functools.partial(result_files.write_file, layout, kind)
    result_files.finish(unfinished, path, write)
    return image_runs.report(path, unfinished)


def _features(row: ImageRow) -> Row:
    return {
        "features": None if row.values is None else result_files.encoded(row.values)
    }


def _layout(num_columns: int | None) -> Layout:
    """A column for each feature, or one of vectors."""
    columns = {"features": "vector"}
    if num_columns is not None:
        columns = {f"feature_{i}": "real" for i in range(num_columns)}

    def flat(row: Row) -> list[Any]:
        found = row["features"]
        vector = None if found is None else result_files.decoded(found).tolist()
        if num_columns is None:
            return [row["file"], row["error"], vector]
        return [row["file"], row["error"], *(vector or [None] * num_columns)]

    return Layout(
        {"file": "text", "error": "text", **columns}, flat, lambda row: [row["file"]]
    )
