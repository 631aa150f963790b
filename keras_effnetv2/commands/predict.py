"""`predict`: the best classes of image files."""

import argparse
import itertools

import numpy as np

from keras_effnetv2.commands.shared.arguments import (
    add_model_arguments,
    check_checkpoint,
    check_counts,
)
from keras_effnetv2.data.printable import printable

EXAMPLE = (
    "python -m keras_effnetv2 predict photographs --variant efficientnetv2-s --top 3"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, the network, and how many classes to print."""
    add_model_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=5, help="classes an image (default: 5)"
    )
    parser.add_argument(
        "--batch_size", type=int, default=8, help="images at a time (default: 8)"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the best classes of every image; 1 if one could not be read."""
    from keras_effnetv2.commands.shared.classifiers import (
        evaluation_record,
        load_model,
        network_inputs,
        read_examples,
    )
    from keras_effnetv2.networks.functional import find_normalization

    check_counts(args, "image_size", "top", "batch_size")
    check_checkpoint(args)
    model = load_model(args.variant, args.weights, args.workdir, args.checkpoint)
    normalization = find_normalization(model)
    preprocessing = evaluation_record(model, normalization, args.image_size)
    failures: list[str] = []
    examples = read_examples(args.images, preprocessing, failures)
    while batch := list(itertools.islice(examples, args.batch_size)):
        paths, pixels = zip(*batch, strict=True)
        inputs = network_inputs(np.stack(pixels), normalization)
        scores = model.predict(inputs, verbose=0)
        for path, rows in zip(
            paths, best_classes(scores, preprocessing.labels, args.top), strict=True
        ):
            print("\n".join([printable(path), *rows]), flush=True)
    return 1 if failures else 0


def best_classes(
    scores: np.ndarray, class_labels: str | tuple[str, ...] | None, top: int
) -> list[list[str]]:
    """Lines to print for every image, best class first.

    Args:
        scores: `(batch, classes)`.
        class_labels: the class list that names the columns, their names, or None for
            their numbers.
        top: how many lines; fewer if there are fewer classes.
    """
    from keras_effnetv2.commands.shared.classifiers import best_columns, class_names

    names = class_names(class_labels, scores.shape[1])
    return [
        ["  ".join(filter(None, (f"{row[i]:10.4f}", *names[i]))) for i in best]
        for best, row in zip(best_columns(scores, top), scores, strict=True)
    ]
