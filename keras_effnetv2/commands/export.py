"""`export`: writes a classifier in a format for deployment."""

import argparse
import importlib
import json
import pathlib
import zipfile
from typing import Any

from keras_effnetv2.commands.shared.arguments import (
    add_checkpoint_argument,
    check_checkpoint,
    check_counts,
)
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.publishing import check_target
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.weights.hub import addresses

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


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the network, its weights, and what it may lack as a classifier."""
    parser.add_argument(
        "--variant",
        help="a name that the command list prints, or a variant file (default: the "
        "one that the weights name, or the only one with such weights)",
    )
    parser.add_argument(
        "--weights",
        help="imagenet, imagenet21k, imagenet21k-ft1k, none (random), a file or folder "
        "of weights, a .keras file, an https URL, or hf://USER/REPO on the Hugging "
        "Face Hub",
    )
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="instead of --variant and --weights: work folder of a finished training",
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="text file with one class name per line (default: the model's own)",
    )
    parser.add_argument(
        "--classifier_activation",
        choices=("auto", "softmax", "sigmoid"),
        default="auto",
        help="turns the logits of a model into probabilities (default: that of its "
        "loss, or of released weights)",
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


def open_labelled_model(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """As `open_model`, with the class names of `--labels`, if given."""
    names = None if args.labels is None else _read_names(args.labels)
    model, source = open_model(args)
    if names is not None:
        from keras_effnetv2.networks.transfer import name_classes

        name_classes(model, names)
    return model, source


def open_model(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The model that the flags name, and its origin, for the manifest.

    Raises:
        ValueError: the flags name no model or contradict each other, or it cannot be
            opened.
    """
    from keras_effnetv2.classification.model_opening import read_model
    from keras_effnetv2.models import create_model

    from_weights = args.variant is not None or args.weights is not None
    if from_weights == (args.workdir is not None):
        raise InputError(
            "Say what to export: --weights, with --variant if they do not name it, "
            "or --workdir."
        )
    if args.workdir is not None:
        from keras_effnetv2.training.runs.trained import fitted_temperature, load_run
        from keras_effnetv2.training.runs.workdir import read_experiment

        experiment = read_experiment(args.workdir)
        variant = get_variant(experiment.model.variant).name  # Not the file's path.
        source: dict[str, Any] = {"variant": variant, "experiment": experiment.name}
        temperature = fitted_temperature(args.workdir, args.checkpoint)
        if temperature is not None:
            source["temperature"] = temperature
        return load_run(args.workdir, args.checkpoint), source
    if args.weights is None:
        raise InputError(
            "--variant needs --weights, as in --weights imagenet or --weights none."
        )
    if args.variant is None and pathlib.Path(args.weights).suffix == ".keras":
        model = read_model(args.weights)
        model.compile(loss=_saved_loss(args.weights))
        return model, {"model": args.weights}
    if args.variant is None and addresses.is_repository(args.weights):
        return create_model(args.weights), {"weights": args.weights}
    variant = args.variant or _recognize(args.weights)
    source = {"variant": variant, "weights": args.weights}
    weights = None if args.weights == "none" else args.weights
    return create_model(variant, weights=weights), source


def _recognize(weights: str) -> str:
    """Name of the variant that the weights belong to."""
    from keras_effnetv2.weights.recognition import recognize

    if weights == "none":
        raise InputError("Random weights need a network: --variant.")
    return recognize(weights).name


def _saved_loss(path: str) -> Any:
    """The loss that the model in a `.keras` file was compiled with, if it is known."""
    import keras

    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json")).get("compile_config") or {}
    try:
        return keras.saving.deserialize_keras_object(config.get("loss"))
    except (TypeError, ValueError):
        return None  # Its class is not registered: exports do not need it.


def _read_names(path: str) -> list[str]:
    """Lines of a text file.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return pathlib.Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise InputError(
            "--labels takes a text file with one class name per line. Received: "
            f"{path}, which cannot be read: {error}."
        ) from error
