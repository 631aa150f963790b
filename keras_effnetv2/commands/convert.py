"""`convert`: converts weights of any known format to `.weights.h5` or `.keras`."""

import argparse
import pathlib
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import replacing
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variants import get_variant

EXAMPLE = "python -m keras_effnetv2 convert efficientnetv2-s.pth s.weights.h5"

_ENDINGS = (".weights.h5", ".keras")

# Equal weights give equal outputs, except for the order of additions in threads.
_MAX_DIFFERENCE = 1e-5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the source, the destination and the network."""
    parser.add_argument(
        "source",
        help="file or folder of weights, https URL, hf://USER/REPO, imagenet, "
        "imagenet21k or imagenet21k-ft1k",
    )
    parser.add_argument(
        "destination", help="new file, NAME.weights.h5 or, with the network, NAME.keras"
    )
    parser.add_argument(
        "--variant",
        help="a name that the command list prints, or a variant file (default: the "
        "one that the source names, or the only one with such weights)",
    )
    parser.add_argument(
        "--include_top",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="include the classifier (default: yes)",
    )
    parser.add_argument(
        "--preprocessing",
        help="imagenet, imagenet21k or imagenet21k-ft1k: whose preprocessing and "
        "labels the weights need (default: what the file, its name or its number of "
        "classes says)",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the file, reads it back, and prints what it contains."""
    destination = pathlib.Path(args.destination).expanduser()
    if not destination.name.endswith(_ENDINGS):
        raise InputError(
            f"DESTINATION must end in {' or '.join(_ENDINGS)}. Received: {destination}."
        )
    if not destination.parent.is_dir():
        raise InputError(f"There is no folder {destination.parent}. Make it first.")
    from keras_effnetv2.models import create_model
    from keras_effnetv2.networks.functional import named_variables
    from keras_effnetv2.weights.pretrained import open_pretrained

    variant = _variant(args)
    with open_pretrained(
        args.source, variant, args.include_top, None, args.preprocessing
    ) as pretrained:
        format, record = pretrained.source.format, pretrained.preprocessing
        model = create_model(
            variant,
            args.include_top,
            classes=pretrained.classes or None,
            preprocessing=record,
        )
        pretrained.assign(named_variables(model), adapt_stem=False)
    difference = write(model, variant, destination)
    print(f"source         {args.source}: {format}")
    print(f"network        {variant.name}")
    print(f"arrays         {len(named_variables(model))}")
    print(f"parameters     {model.count_params():,}")
    print(f"preprocessing  {record}")
    print(f"written        {destination}")
    print(
        f"difference     {difference:.3g}, largest between outputs after reading back"
    )
    return 0


def _variant(args: argparse.Namespace) -> Variant:
    """The network that the flag names, or else that of the source."""
    if args.variant is not None:
        return get_variant(args.variant)
    from keras_effnetv2.weights.recognition import recognize

    return recognize(args.source)


def write(model: Any, variant: Variant, destination: pathlib.Path) -> float:
    """Saves `model` atomically, after reading the file back.

    Args:
        model: a network of `variant`.
        variant: the network that `.weights.h5` files are read back into.
        destination: a path that ends in `.weights.h5` or `.keras`.

    Returns:
        The largest difference between the outputs of the model and of the file, on
        noise.

    Raises:
        ValueError: the file does not reproduce the model's outputs; it is not kept.
    """
    import keras

    from keras_effnetv2.models import create_model

    with replacing(destination) as temporary:
        if destination.suffix == ".keras":
            model.save(temporary)
            copy = keras.saving.load_model(temporary, compile=False)
        else:
            model.save_weights(temporary)
            include_top = any(layer.name == "predictions" for layer in model.layers)
            copy = create_model(variant, include_top, weights=temporary)
        difference = _difference(model, copy)
        if not difference <= _MAX_DIFFERENCE:  # NaN does not agree either.
            raise InputError(
                f"{destination} is not written: read back, its outputs differ by up to "
                f"{difference:.3g}."
            )
    return difference


def _difference(model: Any, copy: Any) -> float:
    import keras

    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3))
    outputs = [
        keras.ops.convert_to_numpy(x(images.astype("float32"), training=False))
        for x in (model, copy)
    ]
    return float(np.max(np.abs(outputs[0] - outputs[1])))
