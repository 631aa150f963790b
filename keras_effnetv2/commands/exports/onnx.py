"""`export onnx`."""

import argparse
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.commands.exports import print_differences
from keras_effnetv2.commands.shared.arguments import add_graph_arguments
from keras_effnetv2.export.publishing import check_target

EXAMPLE = (
    "python -m keras_effnetv2 export onnx --workdir runs/smoke --output exports/onnx"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the inputs of the graph, and the version of its operators."""
    parser.add_argument(
        "--opset",
        type=int,
        default=17,
        help="version of the standard operators, 13 to 18 (default: 17)",
    )
    add_graph_arguments(parser)


def check(args: argparse.Namespace) -> None:
    """Refuses a folder that cannot be written, and unknown operators.

    Raises:
        ImportError: a package is not installed.
        ValueError: any of these.
    """
    check_target(args.output)  # Before TensorFlow is imported.
    from keras_effnetv2.export.onnx_models import check_options

    check_options(args.opset)


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the folder with the graph."""
    from keras_effnetv2 import export

    names = ("opset", "image_size", "input_dtype", "fold", "classifier_activation")
    options = {name: getattr(args, name) for name in names}
    manifest = export.onnx(model, args.output, **options, source=source)
    print_differences(manifest)
    print(f"ONNX: {args.output}")
