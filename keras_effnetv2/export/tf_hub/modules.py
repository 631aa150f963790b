"""TF Hub modules: SavedModels to build on and to fine-tune.

Source: https://www.tensorflow.org/hub/reusable_saved_models, and for images in [0, 1]
and logits https://www.tensorflow.org/hub/common_saved_model_apis/images.
"""

import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.errors import require_modules
from keras_effnetv2.export.checks.roundtrip import (
    MAX_DIFFERENCE,
    check_differences,
    compare,
    keras_outputs,
    run_engine,
    sample_images,
)
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.label_files import LABELS, write_labels
from keras_effnetv2.export.manifests import Manifest
from keras_effnetv2.export.publishing import check_target, replaced_folder
from keras_effnetv2.export.saved_models import describe
from keras_effnetv2.export.tf_hub.module_archives import pack
from keras_effnetv2.layers.gradients import stock_gradients


def hub(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    classifier_activation: str = "auto",
    source: Mapping[str, str] | None = None,
) -> Manifest:
    """Exports a classifier as TF Hub modules, to be used and fine-tuned anywhere.

    The folder gets two SavedModels, each also as the archive that TF Hub hosts,
    `.tar.gz`:

    - `classification`: to logits `(batch, classes)`;
    - `feature_vector`: to pooled features `(batch, channels)`, without the dropout
      after them and without the classifier's variables.

    Both are called as `module(images, training=False)` with float32 images `(batch,
    height, width, channels)` in [0, 1], of any batch and of any size that the model
    takes. Batch norm (including its statistics), dropout and stochastic depth follow
    `training`, a Python bool. `variables`, `trainable_variables` (layers frozen in the
    model stay frozen) and `regularization_losses` are those of the interface; `labels`
    is the asset of class names, if known. The signature `serving_default` takes the
    same `images` to `logits` or `features`.

    Another process, which does not import Keras 3, loads the modules through TF Hub and
    compares them with the model before they replace old ones.

    Args:
        model: a classifier of `create_model`, or built on one. Exported in float32.
        path: folder to write; an existing export is replaced.
        classifier_activation: the activation that follows the logits, for manifest and
            check: `"softmax"`, `"sigmoid"` or `"auto"`: the model's own, or else that
            of the loss that it is compiled with.
        source: variant and weights, for the manifest.

    Returns:
        The manifest, which is next to the modules as `model.json`.

    Raises:
        ImportError: TensorFlow Hub is not installed.
        ValueError: the model cannot be exported, the folder cannot be written, or a
            module does not agree with the model.
    """
    require_modules("The check of TF Hub exports needs", "export", "tensorflow_hub")
    target = check_target(path)
    classifier = Classifier.open(
        model, False, classifier_activation, needs_probabilities=False
    )
    modules = take_apart(classifier)
    manifest = Manifest.of(classifier, "TF Hub", source, {}).extended(
        input_range=[0, 1]
    )
    with replaced_folder(target) as folder:
        for name, module in modules.items():
            module.write(folder / name, classifier.labels)
        differences = _check(folder, classifier)
        for name in modules:
            pack(folder / name, folder / f"{name}.tar.gz")
        descriptions = {name: module.describe() for name, module in modules.items()}
        manifest = manifest.extended(modules=descriptions, differences=differences)
        manifest.write(folder)
    return manifest


def take_apart(classifier: Classifier) -> dict[str, "Module"]:
    """The modules of a classifier, by TF Hub's names."""
    features = _without_dropout(classifier.network)
    return {
        "classification": Module(classifier.network, classifier),
        "feature_vector": Module(features, None),
    }


class Module:
    """A network, or its whole classifier, as a reusable SavedModel.

    Args:
        network: from pixels 0..255 to a dict with `features` `(batch, channels)`.
        classifier: turns features into logits. None: features are the output.
    """

    def __init__(self, network: keras.Model, classifier: Classifier | None) -> None:
        self.network = network
        self.classifier = classifier
        self.pixels = tf.TensorSpec((None, *network.input_shape[1:]), name="images")
        parts = [network] if classifier is None else [network, classifier.head]
        self.weights = [x for part in parts for x in part.weights]
        self.trainable = [x for part in parts for x in part.trainable_weights]
        listed = {id(x) for x in self.weights}
        variables = [x for part in parts for x in part.variables]
        self.random_states = [x for x in variables if id(x) not in listed]
        self.function = tf.function(self._outputs, autograph=False)

    def _outputs(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        features = self.network(255.0 * inputs, training=training)["features"]
        return self.classifier.logits(features) if self.classifier else features

    @property
    def key(self) -> str:
        """Name of the output in the signature."""
        return "logits" if self.classifier else "features"

    def regularization_losses(self) -> list[Any]:
        """One function without arguments, the sum over all variables, or none."""
        regularized = [x for x in self.trainable if x.regularizer is not None]
        if not regularized:
            return []

        def loss() -> tf.Tensor:
            return tf.add_n([x.regularizer(x) for x in regularized])

        return [tf.function(loss, input_signature=[], autograph=False)]

    def write(self, folder: pathlib.Path, labels: Sequence[str] | None) -> None:
        """Saves it; class names become the asset `labels.txt`."""
        # Functions that have not been traced cannot be called after loading.
        with stock_gradients():
            for training in (True, False):
                self.function.get_concrete_function(self.pixels, training=training)
        module = tf.train.Checkpoint()  # The plainest object that can be saved.
        module.__call__ = self.function
        module.variables = [x.value for x in self.weights]
        module.trainable_variables = [x.value for x in self.trainable]
        module.regularization_losses = self.regularization_losses()
        # Training draws from these generators, and saved objects must be reachable.
        module.random_states = [x.value for x in self.random_states]

        def serving_default(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {self.key: self.function(images, training=False)}

        signature = tf.function(
            serving_default, input_signature=[self.pixels], autograph=False
        ).get_concrete_function()
        with tempfile.TemporaryDirectory() as scratch:
            if labels:
                write_labels(labels, pathlib.Path(scratch))
                module.labels = tf.saved_model.Asset(os.path.join(scratch, LABELS))
            tf.saved_model.save(module, os.fspath(folder), signatures=signature)

    def describe(self) -> dict[str, Any]:
        """Input, output and number of trainable variables, for a manifest."""
        traced = self.function.get_concrete_function(self.pixels, training=False)
        return {
            "inputs": describe(self.pixels),
            "outputs": {self.key: describe(traced.structured_outputs)},
            "variables": len(self.weights),
            "trainable_variables": len(self.trainable),
            "regularization_losses": len(self.regularization_losses()),
        }


def _without_dropout(network: keras.Model) -> keras.Model:
    """The network with `features` before its last dropout, if it has one."""
    features = network.output["features"]
    dropouts = [x for x in network.layers if isinstance(x, keras.layers.Dropout)]
    for layer in reversed(dropouts):
        if layer.output is features:
            features = layer.input
    return keras.Model(network.inputs[0], {"features": features}, name=network.name)


def _check(folder: pathlib.Path, classifier: Classifier) -> dict[str, float]:
    """Differences of the modules in a folder from the model.

    Raises:
        ValueError: they are too large for rounding.
    """
    pixels = sample_images(classifier)
    outputs = keras_outputs(classifier, pixels)
    wanted = {
        "classification": {"logits": outputs["serving_default"]["logits"]},
        "feature_vector": outputs["features"],
    }
    inputs = {name: {"images": pixels / 255.0} for name in wanted}
    found = run_engine("hub", folder, inputs)
    differences = compare(wanted, found)
    if classifier.activation is not None:
        name = "classification"
        logits = keras.ops.convert_to_tensor(found[name]["logits"])
        made = {name: {"probabilities": np.asarray(classifier.activation(logits))}}
        probabilities = outputs["serving_default"]["probabilities"]
        differences |= compare({name: {"probabilities": probabilities}}, made)
    check_differences(differences, MAX_DIFFERENCE)
    return differences
