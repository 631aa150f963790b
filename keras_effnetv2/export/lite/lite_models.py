"""LiteRT (TFLite) models for phones and small devices."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.label_files import write_labels
from keras_effnetv2.export.lite.conversion import FORMATS, IO_TYPES, Conversion
from keras_effnetv2.export.lite.format_reports import measure, write_report
from keras_effnetv2.export.lite.metadata import pack_labels
from keras_effnetv2.export.lite.sample_images import (
    Images,
    Samples,
    calibration_pixels,
    evaluation_samples,
)
from keras_effnetv2.export.manifests import Manifest
from keras_effnetv2.export.publishing import check_target, replaced_folder


def litert(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    formats: Sequence[str] = FORMATS,
    representative: Images | None = None,
    evaluation: Images | None = None,
    image_size: int | None = None,
    input_type: str = "float32",
    output_type: str = "float32",
    float_layers: Sequence[str] = (),
    logits: bool = False,
    fold: bool = True,
    classifier_activation: str = "auto",
    source: Mapping[str, str] | None = None,
) -> Manifest:
    """Exports a classifier as LiteRT models, one file per format.

    The folder has `float32.tflite` and so on, the class names as `labels.txt`, the
    formats' costs and agreement with the model as `report.md`, and the manifest. The
    signature of each model, `serving_default`, takes `images` `(1, image_size,
    image_size, channels)`, pixels 0..255, and returns `probabilities` `(1, classes)`.
    `Interpreter.resize_tensor_input` allows more images at a time. Each file also
    contains metadata for Android's tools and the class names.

    - `float32`: weights and computation in float32.
    - `float16`: weights in float16, half the size; computed in float32, or in float16
      on GPUs.
    - `dynamic`: weights in int8, a quarter of the size; layers compute in int8 with
      ranges determined for each image.
    - `int8`: weights and activations in int8, with ranges determined by the
      `representative` images; also for integer hardware.

    `float32` and `float16` must agree with the model; how far `dynamic` and `int8` do
    depends on the network, and is in the report. Losses of 16 points have been reported
    for `int8` of EfficientNetV2 with SiLU; if it loses too much, keep layers in float
    with `float_layers`, or use `create_model(..., activation="relu6")`, whose
    activations have a fixed range. That is another network: released weights load into
    it, but it has to be trained with that activation before the export.

    Args:
        model: a classifier of `create_model`, or built on one.
        path: folder to write; an existing export is replaced.
        formats: one or more of the four.
        representative: real images to calibrate `int8` on: a `Source` from
            `open_source`, a folder of image files, or pixels `(height, width,
            channels)` 0..255 of each. 200 of them, evenly spread, are used, with the
            evaluation crop.
        evaluation: other images to compare on, up to 1,000. None: the `representative`
            ones, or else three random pictures. With a `Source`, accuracies are
            measured too.
        image_size: side of `images`, pixels. None: the model's evaluation size.
        input_type: type of `images` in `int8`: `"float32"`, `"uint8"` (pixels as they
            are) or `"int8"` (pixels - 128).
        output_type: type of the outputs in `int8`, one of the same; `"uint8"` is
            probability x 256.
        float_layers: patterns of layers that stay in float in `int8`, such as `"se"`
            for squeeze-excite, `"block[12]*"`, `"block6a/dwconv2"` or `"top_conv"`.
        logits: whether to return `logits` too.
        fold: whether to fold batch norms into convolutions.
        classifier_activation: turns logits of a model into probabilities: `"softmax"`
            or `"sigmoid"`. `"auto"`: that of the loss that it is compiled with, or of
            released weights.
        source: variant and weights, for the manifest.

    Returns:
        The manifest, which is next to the models as `model.json`.

    Raises:
        ValueError: unknown format or type, `int8` without images, a model that cannot
            be exported, a folder that cannot be written or read, or a float export that
            does not agree with the model.
    """
    target = check_target(path)
    has_images = representative is not None
    check_options(formats, input_type, output_type, float_layers, has_images)
    classifier = _at_size(
        Classifier.open(model, fold, classifier_activation), image_size
    )
    pixels = calibration_pixels(representative, classifier)
    given = representative if evaluation is None else evaluation
    samples = evaluation_samples(given, classifier, evaluation is not None)
    conversion = Conversion(
        classifier, logits, pixels, input_type, output_type, tuple(float_layers)
    )
    conversion.float_operators()  # For its errors, before the other conversions.
    options = {
        "formats": list(formats),
        "input_type": input_type,
        "output_type": output_type,
        "float_layers": list(float_layers),
        "logits": logits,
        "batch_norm_folded": fold,
    }
    manifest = Manifest.of(classifier, "LiteRT", source, options)
    with replaced_folder(target) as folder:
        _write_models(conversion, formats, folder)
        return _write_checked(classifier, manifest, samples, formats, folder)


def check_options(
    formats: Sequence[str],
    input_type: str,
    output_type: str,
    float_layers: Sequence[str],
    has_images: bool,
) -> None:
    """Refuses invalid arguments of `litert`.

    Args:
        formats: as for `litert`.
        input_type: as for `litert`.
        output_type: as for `litert`.
        float_layers: as for `litert`.
        has_images: whether there are images to calibrate on.

    Raises:
        ValueError: an unknown value, or values that do not work together.
    """
    if isinstance(formats, str) or not formats or not {*formats} <= {*FORMATS}:
        raise InputError(
            f"formats must be some of {FORMATS}. Received: {formats!r}. Pass a list."
        )
    if isinstance(float_layers, str):
        raise InputError(
            f"float_layers must be a list of patterns. Received: {float_layers!r}."
        )
    for name, dtype in (("input_type", input_type), ("output_type", output_type)):
        if dtype not in IO_TYPES:
            raise InputError(f"{name} must be one of {IO_TYPES}. Received: {dtype!r}.")
    if "int8" in formats and not has_images:
        others = " ".join(x for x in formats if x != "int8") or "float32"
        raise InputError(
            "The format int8 is calibrated on real images. Received: none. Pass "
            "representative (on the command line --images or --source), or other "
            f"formats: {others}."
        )
    is_default = (input_type, output_type) == ("float32", "float32")
    if "int8" not in formats and (not is_default or float_layers):
        raise InputError(
            "input_type, output_type and float_layers are only for the format int8. "
            f"Received: formats={tuple(formats)}. Add int8, or leave them out."
        )


def _at_size(classifier: Classifier, image_size: int | None) -> Classifier:
    """The classifier with the exported evaluation size."""
    size = classifier.evaluation.image_size
    is_fixed = classifier.input_shape[0] is not None
    if image_size is not None and image_size < 1:
        raise InputError(f"image_size must be at least 1. Received: {image_size}.")
    if is_fixed and image_size not in (None, size):
        raise InputError(
            f"The model takes images of {size}x{size} pixels. Received: "
            f"image_size={image_size}. Leave it out."
        )
    record = dataclasses.replace(
        classifier.preprocessing, image_size=image_size or size
    )
    return dataclasses.replace(classifier, preprocessing=record)


def _write_models(
    conversion: Conversion, formats: Sequence[str], folder: pathlib.Path
) -> None:
    labels = conversion.classifier.labels
    for name in formats:
        file = folder / f"{name}.tflite"
        file.write_bytes(conversion.convert(name))
        pack_labels(file, labels)
    write_labels(labels, folder)


def _write_checked(
    classifier: Classifier,
    manifest: Manifest,
    samples: Samples,
    formats: Sequence[str],
    folder: pathlib.Path,
) -> Manifest:
    """Compares the models with the Keras model, and writes report and manifest.

    Raises:
        ValueError: a float model does not agree with the Keras model.
    """
    report = measure(folder, classifier, samples, formats)
    write_report(report, classifier.model.name, folder)
    manifest = manifest.extended(**report.contents())
    manifest.write(folder)
    return manifest
