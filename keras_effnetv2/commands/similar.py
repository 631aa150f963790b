"""`similar`: finds the images most similar to one, by their features."""

import argparse

from keras_effnetv2.commands.shared.arguments import (
    add_batch_argument,
    add_classifier_arguments,
    check_checkpoint,
    check_counts,
    check_output,
)

EXAMPLE = (
    "python -m keras_effnetv2 similar cat.jpg --among photographs "
    "--model efficientnetv2-s --output similar.png"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the photograph, the images to search, and the network."""
    parser.add_argument("photograph", metavar="PHOTO", help="image file")
    parser.add_argument(
        "--among",
        required=True,
        metavar="FOLDER|FILE.npz",
        help="folder of images, in which their features are cached, or a file that "
        "embed has written with the same network",
    )
    add_classifier_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=8, help="number of images (default: 8)"
    )
    add_batch_argument(parser)
    parser.add_argument(
        "--output", metavar="PICTURE.png", help="also draw them next to the photograph"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the nearest images, nearest first."""
    from keras_effnetv2.commands.results import similar_images

    check_counts(args, "image_size", "top", "batch_size")
    check_checkpoint(args)
    check_output(args)
    similar_images.find(args)
    return 0
