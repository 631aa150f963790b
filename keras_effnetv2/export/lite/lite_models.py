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
    """Exports a classifier as LiteRT models, one file a format.

    The folder has `float32.tflite` and so on, the class names as `labels.txt`, what the
    formats cost and how far they agree with the model as `report.md`, and the manifest.
    The signature of each model, `serving_default`, takes `images` `(1, image_size,
    image_size, channels)`, pixels 0..255, and gives `probabilities` `(1, classes)`.
    `Interpreter.resize_tensor_input` makes it take more images at a time. Metadata
    for Android's tools, and the class names once more, are in each file.

    - `float32`: weights and computation in float32.
    - `float16`: weights in float16, half the size; computed in float32, or in float16
      by GPUs.
    - `dynamic`: weights in int8, a quarter of the size; layers compute in int8 with
      ranges that each image gives anew.
    - `int8`: weights and activations in int8, whose ranges the `representative` images
      give; for integer hardware too.

    `float32` and `float16` must agree with the model; how far `dynamic` and `int8` do
    depends on the network, and the report says it. Losses of 16 points have been
    reported for `int8` of EfficientNetV2 with its SiLU; where it loses much, keep
    layers in float by `float_layers`, or use `create_model(..., activation="relu6")`,
    whose activations have a fixed range. That is another network: released weights
    load into it, but it has to be trained with that activation before the export.

    Args:
        model: a classifier of `create_model`, or built on one.
        path: folder to write; an export that is there is replaced.
        formats: which of the four.
        representative: real images to calibrate `int8` on: a `Source` of `open_source`,
            a folder of image files, or pixels `(height, width, channels)` 0..255 of
            each. 200 of them, evenly spread, go through the evaluation crop.
        evaluation: other images to compare on, up to 1,000. None: the `representative`
            ones, or else three random pictures. A `Source` gives accuracies too.
        image_size: side of `images`, pixels. None: that of the model's evaluation.
        input_type: of `images` in `int8`: `"float32"`, `"uint8"` (pixels as they are)
            or `"int8"` (pixels - 128).
        output_type: of the outputs in `int8`, likewise; `"uint8"` is probability x 256.
        float_layers: patterns of layers that stay in float in `int8`, as `"se"` for
            squeeze-excite, `"block[12]*"`, `"block6a/dwconv2"` or `"top_conv"`.
        logits: give `logits` too.
        fold: fold batch norms into convolutions.
        classifier_activation: that makes probabilities of what a model of logits gives,
            `"softmax"` or `"sigmoid"`. `"auto"`: that of the loss that it is compiled
            with, or of released weights.
        source: for the manifest: which variant, which weights.

    Returns:
        The manifest that is beside the models as `model.json`.

    Raises:
        ValueError: a format or type that does not exist, `int8` without images, a model
            that cannot be exported, a folder that cannot be written or read, or an
            export in float that does not do what the model does.
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
    """Refuses arguments of `litert` that no model can be exported with.

    Args:
        formats: as for `litert`.
        input_type: likewise.
        output_type: likewise.
        float_layers: likewise.
        has_images: there is something to calibrate on.

    Raises:
        ValueError: one that does not exist, or two that do not go together.
    """
    if isinstance(formats, str) or not formats or not {*formats} <= {*FORMATS}:
        raise InputError(
            f"formats must be some of {FORMATS}. Received: {formats!r}. Pass a list."
        )
    if isinstance(float_layers, str):
        raise InputError(
            f"float_layers is a list of patterns. Received: {float_layers!r}."
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
            "input_type, output_type and float_layers are those of the format int8. "
            f"Received: formats={tuple(formats)}. Add int8, or leave them out."
        )


def _at_size(classifier: Classifier, image_size: int | None) -> Classifier:
    """The classifier with the evaluation size that is exported."""
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
        ValueError: one in float does not do what the model does.
    """
    report = measure(folder, classifier, samples, formats)
    write_report(report, classifier.model.name, folder)
    manifest = manifest.extended(**report.contents())
    manifest.write(folder)
    return manifest
