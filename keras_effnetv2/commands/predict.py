"""`predict`: prints the best classes of image files."""

import argparse
import functools

from keras_effnetv2.commands.shared.arguments import (
    add_model_arguments,
    add_output_arguments,
    check_checkpoint,
    check_counts,
    check_output,
)

EXAMPLE = "python -m keras_effnetv2 predict photographs --model efficientnetv2-s"
FORMATS = ("table", "csv", "jsonl", "parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the images, the network, the number of classes and the output."""
    add_model_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=5, help="classes per image (default: 5)"
    )
    add_output_arguments(parser, FORMATS)


def run(args: argparse.Namespace) -> int:
    """Prints or writes each image's best classes; returns 1 if one is unreadable."""
    from keras_effnetv2.commands.results import image_runs, score_rows

    check_counts(args, "image_size", "top", "batch_size")
    check_checkpoint(args)
    check_output(args)
    kind = image_runs.chosen_format(args, FORMATS)
    kept = image_runs.settings(args, top=args.top)
    task_of = functools.partial(score_rows.task_of, args.top)
    return image_runs.run(args, kind, kept, task_of)
