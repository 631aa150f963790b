"""Classifiers that flags name, images for them, and what they say."""

import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_effnetv2 import training
from keras_effnetv2.data import folders
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.errors import FileError, InputError, UserError
from keras_effnetv2.layers import PixelNormalization
from keras_effnetv2.models import create_model
from keras_effnetv2.preprocessing import NUM_LABELS, Preprocessing, preprocess_input
from keras_effnetv2.training.runs.workdir import CHECKPOINTS, describe_weights
from keras_effnetv2.weights import labels
from keras_effnetv2.weights.hub import addresses


def load_model(
    variant: str | None,
    weights: str | None,
    workdir: str | None,
    checkpoint: str = CHECKPOINTS[0],
) -> keras.Model:
    """The classifier that the flags name.

    Raises:
        ValueError: no variant, and weights that do not say it; or these beside a work
            folder.
    """
    if workdir is not None:
        if variant is not None or weights is not None:
            raise InputError(
                f"--workdir {workdir} says which network and which weights. Leave "
                "--variant and --weights out, or --workdir."
            )
        print(describe_weights(workdir, checkpoint), file=sys.stderr)
        return training.load_run(workdir, checkpoint)
    weights = weights or "imagenet"
    if variant is not None:
        return create_model(variant, weights=weights)
    if pathlib.Path(weights).suffix == ".keras":
        return _read_model(weights)
    if addresses.is_repository(weights):
        return create_model(weights)
    raise InputError(
        f"--variant is needed with weights {weights!r}: only a .keras file and a "
        "repository of the Hub (hf://USER/REPO) say which network they hold."
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
        except InputError as error:
            _fail(error, failures)


def _fail(error: UserError, failures: list[str]) -> None:
    failures.append(str(error))
    print("error:", error, file=sys.stderr, flush=True)


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
    names: Iterable[str | int] = range(num_classes)
    if isinstance(class_labels, tuple) and len(class_labels) == num_classes:
        names = class_labels
    elif isinstance(class_labels, str) and NUM_LABELS.get(class_labels) == num_classes:
        return list(labels.class_names(class_labels))
    return [("", f"class {name}") for name in names]
