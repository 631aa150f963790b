"""The model that `export` and `serve` take, by its flags."""

import argparse
import json
import pathlib
import zipfile
from typing import Any

from keras_effnetv2.commands.shared.arguments import add_checkpoint_argument
from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.weights.hub import addresses


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
        help="instead of --variant and --weights: work folder of a training run",
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
