"""`export hugging_face`."""

import argparse
from collections.abc import Mapping
from typing import Any

EXAMPLE = (
    "python -m keras_effnetv2 export hugging_face --variant efficientnetv2-s "
    "--weights imagenet --output s --repository me/s"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the name of the repository in the model card."""
    parser.add_argument(
        "--repository",
        metavar="USER/REPO",
        help="name for the model card (default: the folder's name)",
    )


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the folder of the repository."""
    from keras_effnetv2 import export

    folder = export.hugging_face(model, args.output, args.repository)
    print(f"Hugging Face: {folder}")
