"""`export serving`."""

import argparse
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.commands.exports import print_differences
from keras_effnetv2.commands.exports.saved_model import (
    add_signature_arguments,
    signature_options,
)
from keras_effnetv2.export.publishing import check_base

EXAMPLE = (
    "python -m keras_effnetv2 export serving --workdir runs/smoke --output served/smoke"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds options of the server to those of the signatures."""
    add_signature_arguments(parser)
    parser.add_argument(
        "--version", type=int, help="number of the version (default: the next)"
    )
    parser.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help="versions to keep, besides those with labels (default: all)",
    )
    parser.add_argument(
        "--model_name",
        metavar="NAME",
        help="name to serve it under (default: that of the folder)",
    )
    parser.add_argument(
        "--server_path",
        metavar="DIR",
        help="the folder as the server sees it (default: /models/NAME)",
    )
    parser.add_argument(
        "--batch_sizes",
        type=int,
        nargs="+",
        metavar="SIZE",
        help="sizes of the batches that the server may form (default: 1 2 4 8 16)",
    )


def check(args: argparse.Namespace) -> None:
    """Refuses a folder that cannot be written, and options that no version can have.

    Raises:
        ValueError: any of these.
    """
    check_base(args.output)  # Before TensorFlow is imported.
    from keras_effnetv2.export.tf_serving.versions import BATCH_SIZES, check_options

    sizes = args.batch_sizes or BATCH_SIZES
    check_options(args.output, args.version, args.keep, args.model_name, sizes)


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the version, and prints what the server will do with it."""
    from keras_effnetv2 import export

    options = signature_options(args)
    if args.batch_sizes:
        options["allowed_batch_sizes"] = args.batch_sizes
    options |= {"keep": args.keep, "name": args.model_name}
    options["server_path"] = args.server_path
    served = export.serving(model, args.output, args.version, **options, source=source)
    print_differences(served.manifest)
    print(f"version {served.version} of {served.name}: {served.path}")
    for label, version in sorted(served.labels.items()):
        print(f"  {label:8}version {version}")
