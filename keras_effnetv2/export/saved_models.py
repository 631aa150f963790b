"""SavedModels with signatures for pixels and encoded images."""

import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.checks.roundtrip import check_signatures
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.label_files import write_labels
from keras_effnetv2.export.manifests import Manifest
from keras_effnetv2.export.publishing import check_target, replaced_folder
from keras_effnetv2.layers.gradients import stock_gradients
from keras_effnetv2.networks import constants

INPUT_DTYPES = ("float32", "uint8")


def saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    image_size: int | None = None,
    input_dtype: str = "float32",
    fold: bool = True,
    top: int = 5,
    classifier_activation: str = "auto",
    source: Mapping[str, str] | None = None,
) -> Manifest:
    """Exports a classifier as a SavedModel of stock TensorFlow operations.

    Signatures, of any batch:

    - `serving_default`: `images` `(batch, height, width, channels)`, pixels 0..255, to
      `probabilities` and `logits` `(batch, classes)`;
    - `serving_bytes`: `image_bytes` `(batch,)`, encoded images of any sizes, in the
      formats of `data.images.decode`: JPEG, PNG, GIF, BMP of 24 or 32 bits, and WebP
      without alpha if the server's TensorFlow supports it; to the same outputs. Images
      are decoded, turned upright, cropped and resized for evaluation. Other formats,
      and images larger than `data.headers.max_pixels()` at the time of the export, are
      refused;
    - `classify`: `image_bytes` to the best `classes`, their `scores` and, if known,
      `labels`, `(batch, top)`;
    - `features`: `images` to `features` `(batch, channels)`, the input of the
      classifier;
    - `pyramid`: `images` to `reduction_1` ... `reduction_5`, if the model is a network
      of `create_model`.

    Another process, which does not import Keras, loads the export and compares it with
    the model before it replaces an old one.

    Args:
        model: a classifier of `create_model`, or built on one.
        path: folder to write; an existing export is replaced.
        image_size: side of `images`, pixels. None: any, or the model's.
        input_dtype: dtype of `images`, `"float32"` or `"uint8"`.
        fold: whether to fold batch norms into convolutions.
        top: number of classes that `classify` returns; fewer if there are fewer.
        classifier_activation: turns logits of a model into probabilities: `"softmax"`
            or `"sigmoid"`. `"auto"`: that of the loss that it is compiled with, or of
            released weights.
        source: variant and weights, for the manifest.

    Returns:
        The manifest, which is next to the export as `model.json`.

    Raises:
        ValueError: the model cannot be exported, the folder cannot be written, or the
            export does not agree with the model.
    """
    target = check_target(path)
    classifier = Classifier.open(model, fold, classifier_activation)
    signatures = Signatures(classifier, image_size, input_dtype, top)
    manifest = Manifest.of(
        classifier, "SavedModel", source, {"batch_norm_folded": fold}
    )
    with replaced_folder(target) as folder:
        return write_checked(signatures, manifest, folder)


def write_checked(
    signatures: "Signatures", manifest: Manifest, folder: pathlib.Path
) -> Manifest:
    """Writes a SavedModel and its manifest, and compares it with the model.

    Raises:
        ValueError: it does not agree with the model.
    """
    signatures.write(folder)
    differences = check_signatures(folder, signatures)
    manifest = manifest.extended(
        signatures=signatures.describe(), differences=differences
    )
    manifest.write(folder)
    return manifest


class Signatures:
    """The signatures of a classifier; see `saved_model`.

    All call one function, whose graph has the weights as constants and is traced once.

    Attributes:
        classifier: the classifier.
        pixels: shape and dtype of `images`.
        functions: name of a signature -> its `tf.function`.
        specs: name of a signature -> name of its input -> shape and dtype.

    Raises:
        ValueError: an unknown dtype, or a size that the model does not take.
    """

    def __init__(
        self, classifier: Classifier, image_size: int | None, input_dtype: str, top: int
    ) -> None:
        self.classifier = classifier
        self.pixels = _pixels(classifier, image_size, input_dtype)
        self.top = min(top, classifier.num_classes)
        if top < 1:
            raise InputError(f"top must be at least 1. Received: {top}.")
        self._outputs = tf.function(
            self._compute, input_signature=[self._network_inputs()], autograph=False
        )
        encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")
        rows: dict[str, tuple[Callable[[Any], dict[str, Any]], tf.TensorSpec]] = {
            "serving_default": (self._scores, self.pixels),
            "features": (self._features, self.pixels),
        }
        if "reduction_1" in classifier.network.output:
            rows["pyramid"] = (self._pyramid, self.pixels)
        if classifier.input_shape[-1] == 3:
            rows["serving_bytes"] = (self._scores_of_bytes, encoded)
            rows["classify"] = (self._classify, encoded)
        self.specs = {name: {spec.name: spec} for name, (_, spec) in rows.items()}
        self.functions = {
            name: tf.function(function, input_signature=[spec], autograph=False)
            for name, (function, spec) in rows.items()
        }

    def write(self, folder: pathlib.Path) -> None:
        """Saves them, with the class names as the asset `labels.txt`."""
        module = tf.Module()
        if not self._weights:
            module.all_variables = [x.value for x in self.classifier.variables]
        with stock_gradients():
            signatures = {
                name: function.get_concrete_function()
                for name, function in self.functions.items()
            }
        tf.saved_model.save(module, os.fspath(folder), signatures)
        write_labels(self.classifier.labels, folder / "assets")

    @functools.cached_property
    def _weights(self) -> list[tuple[keras.Variable, Any]]:
        """Variables with their values; none if they are too large for a graph."""
        values = constants.values_of(self.classifier.variables)
        return values if constants.fit_in_a_graph(values) else []

    def describe(self) -> dict[str, Any]:
        """Inputs and outputs of each signature, for a manifest."""
        descriptions = {}
        for name, specs in self.specs.items():
            outputs = self.functions[name].get_concrete_function().structured_outputs
            descriptions[name] = {
                "inputs": {key: describe(x) for key, x in specs.items()},
                "outputs": {key: describe(x) for key, x in outputs.items()},
            }
        return descriptions

    def _network_inputs(self) -> tf.TensorSpec:
        """Shape and dtype of both `images` and the evaluation images of files."""
        _, *sides, channels = self.pixels.shape
        height, *_ = self.classifier.input_shape
        size = height or self.classifier.preprocessing.image_size
        sides = sides if sides == [size, size] else (None, None)
        return tf.TensorSpec((None, *sides, channels), tf.float32)

    def _compute(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        with constants.as_constants(self._weights):
            return self.classifier.outputs(images)

    # Servers do not check shapes, and some kernels abort the process on a wrong rank.
    def _of_pixels(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.ensure_shape(images, self.pixels.shape)
        return self._outputs(tf.cast(images, tf.float32))

    def _scores(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return _scores_in(self._of_pixels(images))

    def _scores_of_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return _scores_in(self._outputs(self.evaluation_images(image_bytes)))

    def _classify(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = self._scores_of_bytes(image_bytes)["probabilities"]
        scores, classes = tf.math.top_k(probabilities, self.top)
        outputs = {"classes": classes, "scores": scores}
        if self.classifier.labels:
            outputs["labels"] = tf.gather(tf.constant(self.classifier.labels), classes)
        return outputs

    def _features(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": self._of_pixels(images)["features"]}

    def _pyramid(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = self._of_pixels(images)
        return {x: outputs[x] for x in outputs if x.startswith("reduction_")}

    def evaluation_images(self, image_bytes: tf.Tensor) -> tf.Tensor:
        """float32 `(batch, size, size, 3)`, pixels 0..255, from encoded images."""
        record = self.classifier.evaluation

        def prepare(contents: tf.Tensor) -> tf.Tensor:
            return cropping.evaluation_image(images.to_rgb(contents), record)

        size = record.image_size
        spec = tf.TensorSpec((size, size, 3), tf.float32)
        with tf.device("CPU"):  # Strings are there.
            return tf.map_fn(prepare, image_bytes, fn_output_signature=spec)


def _scores_in(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: outputs[name] for name in ("logits", "probabilities")}


def _pixels(
    classifier: Classifier, image_size: int | None, dtype: str
) -> tf.TensorSpec:
    """Shape and dtype of the signatures' pixels."""
    if dtype not in INPUT_DTYPES:
        raise InputError(
            f"input_dtype must be one of {INPUT_DTYPES}. Received: {dtype!r}."
        )
    if image_size is not None and image_size < 1:
        raise InputError(f"image_size must be at least 1. Received: {image_size}.")
    *sides, channels = classifier.input_shape
    if image_size is not None and any(x not in (None, image_size) for x in sides):
        raise InputError(
            f"The model takes images of {sides[0]}x{sides[1]} pixels. Received: "
            f"image_size={image_size}. Leave it out."
        )
    sides = [side or image_size for side in sides]
    return tf.TensorSpec((None, *sides, channels), dtype, name="images")


def describe(tensor: Any) -> str:
    """Dtype and shape as text: `float32 (?, 224, 224, 3)`."""
    sides = ", ".join("?" if x is None else str(x) for x in tensor.shape)
    return f"{tensor.dtype.name} ({sides})"
