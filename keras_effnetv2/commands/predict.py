"""`predict`: the best classes of image files."""

import argparse
import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_effnetv2 import training
from keras_effnetv2.data import folders
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import FileError, InputError, UserError
from keras_effnetv2.layers import PixelNormalization
from keras_effnetv2.models import create_model
from keras_effnetv2.networks.functional import find_normalization
from keras_effnetv2.preprocessing import NUM_LABELS, Preprocessing, preprocess_input
from keras_effnetv2.training.runs.workdir import CHECKPOINTS
from keras_effnetv2.weights import labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, the network, and how many classes to print."""
    add_model_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=5, help="classes an image (default: 5)"
    )
    parser.add_argument(
        "--batch_size", type=int, default=8, help="images at a time (default: 8)"
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, and the network that they are for."""
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image file, or folder of them"
    )
    parser.add_argument(
        "--variant",
        help="a name that the command list prints, or a variant file; may be left out "
        "for a .keras file",
    )
    parser.add_argument(
        "--weights",
        help="imagenet, imagenet21k, imagenet21k-ft1k, a file or folder of weights, "
        "a .keras file, or an https URL (default: imagenet)",
    )
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="instead of --variant and --weights: work folder of a finished training",
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--image_size",
        type=int,
        help="image side, pixels (default: that of the weights' evaluation)",
    )


def add_checkpoint_argument(parser: argparse.ArgumentParser) -> None:
    """Which weights of a work folder."""
    parser.add_argument(
        "--checkpoint",
        choices=CHECKPOINTS,
        default=CHECKPOINTS[0],
        help="of --workdir: the last weights, or those of the best evaluation, which a "
        f"run that is not finished may have too (default: {CHECKPOINTS[0]})",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the best classes of every image; 1 if one could not be read."""
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


def check_counts(args: argparse.Namespace, *flags: str) -> None:
    """Refuses numbers below 1; None is left to its default.

    Raises:
        ValueError: there is one.
    """
    for flag in flags:
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise InputError(f"--{flag} must be at least 1. Received: {value}.")


def check_checkpoint(args: argparse.Namespace) -> None:
    """Refuses a choice of weights where there is no work folder to choose from.

    Raises:
        ValueError: there is none.
    """
    if args.workdir is None and args.checkpoint != CHECKPOINTS[0]:
        raise InputError(
            f"--checkpoint {args.checkpoint} is of a work folder. Name it: --workdir."
        )


def load_model(
    variant: str | None,
    weights: str | None,
    workdir: str | None,
    checkpoint: str = CHECKPOINTS[0],
) -> keras.Model:
    """The classifier that the flags name.

    Raises:
        ValueError: no variant, and weights that are no `.keras` file; or these beside a
            work folder.
    """
    if workdir is not None:
        if variant is not None or weights is not None:
            raise InputError(
                f"--workdir {workdir} says which network and which weights. Leave "
                "--variant and --weights out, or --workdir."
            )
        return training.load_run(workdir, checkpoint)
    weights = weights or "imagenet"
    if variant is not None:
        return create_model(variant, weights=weights)
    if pathlib.Path(weights).suffix == ".keras":
        return _read_model(weights)
    raise InputError(
        f"--variant is needed with weights {weights!r}: only a .keras file says which "
        "network it holds."
    )


def _read_model(path: str) -> keras.Model:
    if not pathlib.Path(path).is_file():
        raise InputError(f"There is no file {path}. Expected a .keras file.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises anything on what it cannot read.
        raise InputError(f"{path} cannot be read as a Keras model: {error}") from error


def evaluation_record(
    model: keras.Model, normalization: PixelNormalization, image_size: int | None
) -> Preprocessing:
    """The model's preprocessing, at the image size wanted or the only one possible.

    Raises:
        ValueError: the model is no classifier of RGB images, or takes another size.
    """
    input_shape, output_shape = model.input_shape, model.output_shape
    if len(output_shape) != 2 or len(input_shape) != 4 or input_shape[3] != 3:
        raise InputError(
            "Expected a classifier of RGB images: input (batch, height, width, 3) and "
            f"output (batch, classes). Received: {input_shape}, {output_shape}."
        )
    height, width = input_shape[1:3]
    record = normalization.preprocessing
    size = image_size or height or record.image_size
    if height not in (None, size) or width not in (None, size):
        raise InputError(
            f"The model takes images of {height}x{width} pixels. Received: "
            f"{size}x{size}. Leave --image_size out for a model of one square size."
        )
    return dataclasses.replace(record, image_size=size)


def network_inputs(pixels: np.ndarray, normalization: PixelNormalization) -> np.ndarray:
    """Images 0..255 as the network takes them: normalised, if it does not do that."""
    if normalization.enabled:
        return pixels
    return preprocess_input(pixels, mode=normalization.preprocessing)


def read_examples(
    names: Iterable[str], preprocessing: Preprocessing, failures: list[str]
) -> Iterator[tuple[pathlib.Path, Any]]:
    """Every readable image with its path, ready for evaluation.

    What cannot be read is said on standard error, and added to `failures`.
    """
    for path in _find(names, failures):
        try:
            pixels = images.read(path)
        except (InputError, FileError) as error:
            _fail(error, failures)
        else:
            yield path, cropping.evaluation_image(pixels, preprocessing).numpy()


def _find(names: Iterable[str], failures: list[str]) -> Iterator[pathlib.Path]:
    for name in names:
        try:
            yield from folders.find(name)
        except ValueError as error:
            _fail(error, failures)


def _fail(error: UserError, failures: list[str]) -> None:
    failures.append(str(error))
    print("error:", error, file=sys.stderr, flush=True)


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
    names = class_names(class_labels, scores.shape[1])
    return [
        ["  ".join(filter(None, (f"{row[i]:10.4f}", *names[i]))) for i in best]
        for best, row in zip(best_columns(scores, top), scores, strict=True)
    ]


def best_columns(scores: np.ndarray, top: int) -> np.ndarray:
    """The numbers of the best classes `(batch, top)` of scores `(batch, classes)`.

    They are fewer than `top` if there are fewer classes. Of equals the first is first.
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :top]


def class_names(
    class_labels: str | tuple[str, ...] | None, num_classes: int
) -> list[tuple[str, str]]:
    """The WordNet id, or an empty text, and the name of every class.

    Args:
        class_labels: as `Preprocessing.labels`; of another number of classes they are
            not used, and the names are numbers.
        num_classes: how many there are.
    """
    if NUM_LABELS.get(class_labels) == num_classes:
        return list(labels.class_names(class_labels))
    has_names = isinstance(class_labels, tuple) and len(class_labels) == num_classes
    names = class_labels if has_names else range(num_classes)
    return [("", f"class {name}") for name in names]
