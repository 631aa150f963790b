"""Real images for LiteRT: to calibrate on, and to compare on."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.data import folders
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.data.pipeline import evaluation_batches
from keras_effnetv2.data.printable import printable
from keras_effnetv2.data.sources import Source
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.checks.roundtrip import sample_images
from keras_effnetv2.export.classifier import Classifier

Images = Source | str | os.PathLike | Sequence[np.ndarray] | np.ndarray

# Ranges of activations hardly grow after 100 to 500 images.
# https://ai.google.dev/edge/litert/conversion/tensorflow/quantization
MAX_CALIBRATION = 200
MAX_EVALUATION = 1000
_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class Samples:
    """Images on which an export is compared with its model.

    Attributes:
        pixels: float32 `(num, size, size, channels)`, 0..255.
        labels: int `(num,)`; None if unknown.
        description: description of the images, for the report.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    description: str


def calibration_pixels(given: Images | None, classifier: Classifier) -> np.ndarray:
    """Images to calibrate int8 on: float32 `(num, size, size, channels)`, 0..255.

    Empty without images.

    Raises:
        ValueError: images cannot be read.
    """
    if given is None:
        *_, channels = classifier.input_shape
        size = classifier.preprocessing.image_size
        return np.zeros((0, size, size, channels), "float32")
    pixels, _ = _read(given, classifier, MAX_CALIBRATION)
    # Bicubic resizing may leave 0..255, but the range must be exactly that, so that
    # uint8 inputs are pixels, with scale 1. Two corner pixels ensure it.
    pixels = np.clip(pixels, 0, 255)
    pixels[0, 0, 0], pixels[0, 0, -1] = 0, 255
    return pixels


def evaluation_samples(
    given: Images | None, classifier: Classifier, is_separate: bool
) -> Samples:
    """Images on which an export is compared.

    Args:
        given: the images. None: random pictures.
        classifier: the classifier.
        is_separate: whether they differ from the calibration images.

    Raises:
        ValueError: images cannot be read.
    """
    if given is None:
        pixels = sample_images(classifier)
        return Samples(pixels, None, f"{len(pixels)} random pictures")
    pixels, labels = _read(given, classifier, MAX_EVALUATION)
    kind = "evaluation" if is_separate else "representative"
    return Samples(pixels, labels, f"{len(pixels):,} {kind} images")


def _read(
    given: Images, classifier: Classifier, largest: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels `(num, size, size, channels)`, at most `largest`, and labels `(num,)`."""
    labels = None
    if isinstance(given, Source):
        pixels, labels = _read_source(given, classifier, largest)
    elif isinstance(given, str | os.PathLike):
        pixels = _read_files(given, classifier, largest)
    elif len(given):
        numbers = _spread(len(given), largest)
        pixels = [_prepared(_checked_pixels(given[i]), classifier) for i in numbers]
    else:
        raise InputError("There are no images. Pass 100 or more for calibration.")
    if not len(pixels):
        raise InputError(
            "None of the images can be read; the log says what is wrong with each. "
            "Pass 100 or more for calibration."
        )
    return np.asarray(pixels), labels


def _read_source(
    source: Source, classifier: Classifier, largest: int
) -> tuple[np.ndarray, np.ndarray | None]:
    # Sources are often ordered by class, so take images from everywhere.
    numbers = _spread(source.num_examples, largest)
    part = dataclasses.replace(
        source,
        num_examples=len(numbers),
        read=lambda index: source.read(tf.gather(numbers, index)),
        name_of=lambda index: source.name_of(int(numbers[index])),
    )
    decode_errors = DecodeErrors("images", part.num_examples)
    batches = evaluation_batches(
        part, classifier.evaluation, batch_size=_BATCH_SIZE, decode_errors=decode_errors
    )
    try:
        columns = [[np.asarray(x) for x in batch] for batch in batches]
    except tf.errors.OpError:
        decode_errors.raise_if_any()
        raise
    pixels, labels, weights = map(np.concatenate, zip(*columns, strict=True))
    pixels, labels = pixels[weights > 0], labels[weights > 0]
    are_ours = source.num_classes == classifier.num_classes and not source.multi_label
    return _in_channels(pixels, classifier), labels.argmax(1) if are_ours else None


def _read_files(
    folder: str | os.PathLike, classifier: Classifier, largest: int
) -> list[np.ndarray]:
    """Images of a folder; damaged ones are left out, as in training."""
    files = folders.find_below(os.path.expanduser(folder))
    numbers = _spread(len(files), largest)
    decode_errors = DecodeErrors(printable(folder), len(numbers))
    pixels = []
    for number in numbers.tolist():
        try:
            pixels.append(_prepared(images.read(files[number]), classifier))
        except InputError as error:
            # Its cause is the reason without the name.
            reason = str(error.__cause__ or error)
            decode_errors.report({number: (printable(files[number]), reason)})
    return pixels


def _spread(num: int, largest: int) -> np.ndarray:
    """Up to `largest` of the numbers below `num`, evenly spread."""
    return np.linspace(0, num - 1, min(num, largest)).round().astype("int64")


def _checked_pixels(image: Any) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise InputError(
            "Images are pixels 0..255 of shape (height, width, 3 or 1). Received: "
            f"one of shape {image.shape}."
        )
    return image


def _prepared(image: np.ndarray, classifier: Classifier) -> np.ndarray:
    prepared = cropping.evaluation_image(image, classifier.evaluation).numpy()
    return _in_channels(prepared, classifier)


def _in_channels(pixels: np.ndarray, classifier: Classifier) -> np.ndarray:
    """Pixels `(..., channels)` with the model's number of channels."""
    *_, channels = classifier.input_shape
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    return tf.image.rgb_to_grayscale(pixels).numpy()
