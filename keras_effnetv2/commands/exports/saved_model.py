"""`export saved_model`."""

import argparse
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.commands.exports import print_differences
from keras_effnetv2.commands.shared.arguments import add_graph_arguments

EXAMPLE = (
    "python -m keras_effnetv2 export saved_model --variant efficientnetv2-s "
    "--weights imagenet --output exports/s"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the inputs and outputs of the signatures."""
    add_signature_arguments(parser)


def add_signature_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what SavedModels for any purpose have in common."""
    add_graph_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=5, help="classes that classify returns (default: 5)"
    )


def signature_options(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `export.saved_model` that the flags give."""
    names = ("image_size", "input_dtype", "top", "fold", "classifier_activation")
    return {name: getattr(args, name) for name in names}


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the SavedModel."""
    from keras_effnetv2 import export

    options = signature_options(args)
    manifest = export.saved_model(model, args.output, **options, source=source)
    print_differences(manifest)
    print(f"SavedModel: {args.output}")
