"""`embed`: writes the features that a network computes from image files."""

import argparse
import functools

from keras_effnetv2.commands.shared.arguments import (
    add_model_arguments,
    add_output_arguments,
    check_checkpoint,
    check_counts,
    check_output,
)

EXAMPLE = (
    "python -m keras_effnetv2 embed photographs --model efficientnetv2-s "
    "--output features.npz"
)
FORMATS = ("npz", "csv", "parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the images, the network and the output."""
    add_model_arguments(parser)
    add_output_arguments(parser, FORMATS)


def run(args: argparse.Namespace) -> int:
    """Writes the features of every image; returns 1 if one could not be read."""
    from keras_effnetv2.commands.results import feature_rows, image_runs

    check_counts(args, "image_size", "batch_size")
    check_checkpoint(args)
    check_output(args)
    kind = image_runs.chosen_format(args, FORMATS)
    kept = image_runs.settings(args)
    task_of = functools.partial(feature_rows.task_of, kept)
    return image_runs.run(args, kind, kept, task_of)
