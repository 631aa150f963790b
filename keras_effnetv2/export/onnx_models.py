"""ONNX graphs: from pixels to probabilities in any engine that reads ONNX."""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.export.checks.roundtrip import (
    MAX_DIFFERENCE,
    check_differences,
    compare,
    keras_outputs,
    run_engine,
    sample_images,
)
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.label_files import write_labels
from keras_effnetv2.export.manifests import Manifest
from keras_effnetv2.export.publishing import check_target, replaced_folder
from keras_effnetv2.export.saved_models import Signatures, describe
from keras_effnetv2.layers.gradients import stock_gradients

FILE = "model.onnx"
# tf2onnx writes no later versions; Softmax of earlier ones counts axes differently.
OPSETS = range(13, 19)
# From 18 on, tf2onnx writes global pooling as a mean, preceded by a transposition.
DEFAULT_OPSET = 17

_MODULES = ("onnx", "tf2onnx", "onnxruntime")
# In this order, since engines that ask for one output take the first.
_OUTPUTS = ("probabilities", "logits", "features")


def onnx(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    opset: int = DEFAULT_OPSET,
    image_size: int | None = None,
    input_dtype: str = "float32",
    fold: bool = True,
    classifier_activation: str = "auto",
    source: Mapping[str, str] | None = None,
) -> Manifest:
    """Exports a classifier as an ONNX graph of standard operators, in float32.

    The folder contains `model.onnx`, its manifest `model.json` and, if class names are
    known, `labels.txt`. The graph takes `images` `(batch, height, width, channels)`,
    channels last and pixels 0..255 as everywhere in this package, and returns
    `probabilities` and `logits` `(batch, classes)` and `features` `(batch, channels)`,
    the input of the classifier. Its metadata repeat the `preprocessing` and the
    `labels` as JSON.

    ONNX Runtime, in another process, compares it with the model at two batch sizes and,
    if they are free, two image sizes, before it replaces an old export.

    Args:
        model: a classifier of `create_model`, or built on one.
        path: folder to write; an existing export is replaced.
        opset: version of the standard operators, 13 to 18.
        image_size: side of `images`, pixels. None: any, or the model's.
        input_dtype: dtype of `images`, `"float32"` or `"uint8"`.
        fold: whether to fold batch norms into convolutions.
        classifier_activation: turns logits of a model into probabilities: `"softmax"`
            or `"sigmoid"`. `"auto"`: that of the loss that it is compiled with, or of
            released weights.
        source: variant and weights, for the manifest.

    Returns:
        The manifest, which is next to the export as `model.json`.

    Raises:
        ImportError: a package that writes or runs ONNX is not installed.
        ValueError: the model cannot be exported, the folder cannot be written, or the
            export does not agree with the model.
    """
    check_options(opset)
    target = check_target(path)
    classifier = Classifier.open(model, fold, classifier_activation)
    pixels = Signatures(classifier, image_size, input_dtype, top=1).pixels
    options = {"batch_norm_folded": fold, "opset": opset}
    manifest = Manifest.of(classifier, "ONNX", source, options)
    graph = _annotated(_converted(classifier, pixels, opset), manifest)
    with replaced_folder(target) as folder:
        _write(graph, classifier.labels, folder)
        differences = _check(folder / FILE, classifier, pixels)
        manifest = manifest.extended(
            inputs={pixels.name: describe(pixels)},
            outputs=[output.name for output in graph.graph.output],
            differences=differences,
        )
        manifest.write(folder)
    return manifest


def check_options(opset: int) -> None:
    """Refuses options with which the export could not be completed.

    Raises:
        ImportError: a package that writes or runs ONNX is not installed.
        ValueError: unsupported version of the operators.
    """
    if opset not in OPSETS:
        raise InputError(
            f"opset must be {OPSETS[0]} to {OPSETS[-1]}. Received: {opset!r}."
        )
    require_modules("ONNX exports need", "export", *_MODULES)


def _converted(classifier: Classifier, pixels: tf.TensorSpec, opset: int) -> Any:
    """An `onnx.ModelProto` made by tf2onnx.

    It has channels-first convolutions, with one transposition after the normalisation.
    """
    import tf2onnx

    def outputs(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.cast(images, tf.float32)
        features = classifier.network(images, training=False)["features"]
        logits = classifier.logits(features)
        probabilities = classifier.activated(logits)
        return dict(zip(_OUTPUTS, (probabilities, logits, features), strict=True))

    function = tf.function(outputs, input_signature=[pixels], autograph=False)
    with stock_gradients():
        graph, _ = tf2onnx.convert.from_function(function, [pixels], opset=opset)
    return graph


def _annotated(model: Any, manifest: Manifest) -> Any:
    """The `onnx.ModelProto` with descriptive names and metadata."""
    from onnx import helper

    record = dict(manifest.contents["preprocessing"])
    labels = record.pop("labels")
    model.graph.name = manifest.contents["name"]
    model.producer_name = "keras_effnetv2"
    model.producer_version = manifest.contents["versions"]["keras_effnetv2"]
    model.doc_string = (
        "images: pixels 0..255, (batch, height, width, channels), cropped and resized "
        "as the metadata's preprocessing says; the graph normalises them."
    )
    entries = {"preprocessing": record} | ({"labels": labels} if labels else {})
    helper.set_model_props(
        model, {x: json.dumps(entries[x], ensure_ascii=False) for x in entries}
    )
    outputs = {output.name: output for output in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(outputs[name] for name in _OUTPUTS)
    for tensor in (*model.graph.input, *model.graph.output):
        sides = tensor.type.tensor_type.shape.dim
        for side, name in zip(sides, ("batch", "height", "width"), strict=False):
            if side.dim_param:  # A side of any size.
                side.dim_param = name
    # tf2onnx also lists operators for trees, which some engines would look for.
    versions = [x for x in model.opset_import if x.domain == ""]
    del model.opset_import[:]
    model.opset_import.extend(versions)
    return model


def _write(model: Any, labels: Sequence[str] | None, folder: pathlib.Path) -> None:
    from onnx import checker, save_model

    checker.check_model(model, full_check=True)
    save_model(model, os.fspath(folder / FILE))
    write_labels(labels, folder)


def _check(
    file: pathlib.Path, classifier: Classifier, pixels: tf.TensorSpec
) -> dict[str, float]:
    """Differences of the graph's outputs from the model's.

    Raises:
        ValueError: they are too large for rounding.
    """
    wanted, inputs = {}, {}
    for images in _samples(classifier, pixels):
        batch, height, width, _ = images.shape
        name = f"{batch} of {height}x{width}"
        outputs = keras_outputs(classifier, images)
        wanted[name] = outputs["serving_default"] | outputs["features"]
        inputs[name] = {"images": images.astype(pixels.dtype.as_numpy_dtype)}
    differences = compare(wanted, run_engine("onnx", file, inputs))
    check_differences(differences, MAX_DIFFERENCE)
    return differences


def _samples(classifier: Classifier, pixels: tf.TensorSpec) -> list[np.ndarray]:
    """Batches of pictures of the graph's size or, if it takes any, of two sizes."""
    pictures = sample_images(classifier)
    size = classifier.preprocessing.image_size
    sides = [side or size for side in pixels.shape[1:3]]
    # Sides that are odd or even wherever strides of two round.
    smaller = [
        side or math.ceil(size * share)
        for side, share in zip(pixels.shape[1:3], (0.7, 0.8), strict=True)
    ]
    return [
        np.round(tf.image.resize(batch, shape))
        for batch, shape in ((pictures, sides), (pictures[:1], smaller))
    ]
