"""`export`: writes a classifier in a format for deployment."""

import argparse
import importlib

from keras_effnetv2.commands.shared.arguments import check_checkpoint, check_counts
from keras_effnetv2.commands.shared.exported_models import (
    add_network_arguments,
    open_labelled_model,
)
from keras_effnetv2.export.publishing import check_target

EXAMPLE = (
    "python -m keras_effnetv2 export onnx --weights flowers.keras "
    "--output exports/flowers"
)

# Format -> what it is for; each is a module of `commands.exports`.
FORMATS = {
    "hub": "TensorFlow Hub modules to fine-tune: classification and feature vector",
    "hugging_face": "the files of a Hugging Face Hub repository, which timm loads too",
    "litert": "LiteRT (TFLite) models in float and int8, with a report",
    "onnx": "ONNX graph of pixels, for ONNX Runtime, OpenVINO and other engines",
    "saved_model": "TensorFlow SavedModel with signatures for pixels and image files",
    "serving": "the next version of a model for TF Serving",
    "web": "a page that classifies in the visitor's browser, for any web server",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the formats, with their own flags and the common ones."""
    formats = parser.add_subparsers(metavar="FORMAT", required=True)
    for name, summary in FORMATS.items():
        module = importlib.import_module(f"keras_effnetv2.commands.exports.{name}")
        format_parser = formats.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_common_arguments(format_parser)
        module.add_arguments(format_parser)
        check = getattr(module, "check", _check_output)
        format_parser.set_defaults(check=check, write=module.write)


def _check_output(args: argparse.Namespace) -> None:
    """Refuses an unusable folder, for formats without a check of their own."""
    check_target(args.output)


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    add_network_arguments(parser)
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder to write"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the export, and prints what loading it back showed."""
    from keras_effnetv2.backends import require_backend

    # Before a model is downloaded, or built, which can take half a minute.
    require_backend("Exports need", "tensorflow")
    args.check(args)
    check_checkpoint(args)
    check_counts(args, *(flag for flag in ("image_size", "top") if flag in args))
    model, source = open_labelled_model(args)
    args.write(model, args, source)
    return 0
