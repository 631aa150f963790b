"""Class-activation maps: where in an image a classifier sees a class.

HiResCAM: Draelos and Carin 2020, https://arxiv.org/abs/2011.08891. Grad-CAM: Selvaraju
et al. 2017, https://arxiv.org/abs/1610.02391. For models with average pooling both are
equal. If the classifier follows directly, evidence for a class minus evidence against
it adds up to its logit, except for the bias.
"""

import dataclasses
from collections.abc import Callable, Generator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_effnetv2.backends import require_backend
from keras_effnetv2.errors import InputError
from keras_effnetv2.explanation.methods import METHODS
from keras_effnetv2.networks import heads
from keras_effnetv2.networks.functional import EfficientNet
from keras_effnetv2.private_apis import producer

_POOLINGS = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)

_Layer = keras.layers.Layer
# Models that images pass in sequence, each as its input and one of its tensors.
_Route = tuple[tuple[Any, Any], ...]


@dataclasses.dataclass(frozen=True)
class SplitClassifier:
    """A classifier in two parts: images to feature map, feature map to scores.

    Made by `split_classifier`; the layers are the classifier's own.

    Attributes:
        extractor: images to the feature map that is pooled.
        head: layers between feature map and classifier, starting with the pooling.
        dense: the classifier.
        activations: layers after the classifier.
    """

    extractor: keras.Model
    head: tuple[_Layer, ...]
    dense: keras.layers.Dense
    activations: tuple[_Layer, ...]

    def features(self, images: Any) -> np.ndarray:
        """The last feature map of images `(batch, height, width, channels)`."""
        return self.extractor.predict(images, verbose=0)

    def scores(self, features: Any) -> np.ndarray:
        """The classifier's outputs `(batch, classes)` for its feature map."""
        x = ops.convert_to_tensor(features)
        for layer in (*self.head, self.dense, *self.activations):
            x = layer(x)
        return ops.convert_to_numpy(x)

    def maps(self, features: Any, classes: Any, method: str = "hirescam") -> np.ndarray:
        """As `class_activation_maps`, for a feature map from `features`."""
        classes = _checked_classes(classes, len(features), self.dense.units)
        if method not in METHODS:
            raise InputError(f"method must be one of {METHODS}. Received: {method!r}.")
        features = ops.cast(features, "float32")
        maps = []
        for column in classes.T:
            weights = _gradient(self._logit_function(column), features)
            if method == "gradcam":
                weights = ops.mean(weights, axis=(1, 2), keepdims=True)
            maps.append(ops.relu(ops.sum(weights * features, axis=-1)))
        return ops.convert_to_numpy(ops.stack(maps, axis=1))

    def _logit_function(self, classes: np.ndarray) -> Callable[[Any], Any]:
        """A function from features to the logits of some classes, with gradients."""

        def function(features: Any) -> Any:
            return self._logits(features, classes)

        layers = (*self.head, self.dense)
        modes = {getattr(layer, "quantization_mode", None) for layer in layers}
        if "float8" in modes and keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # Keras's own gradient works only in graphs.
            return tf.function(function, autograph=False)
        return function

    def _logits(self, features: Any, classes: np.ndarray) -> Any:
        """The sum over images of the logit of each image's class, a scalar."""
        x = features
        for layer in self.head:
            x = layer(x)
        logits = ops.cast(heads.logits(self.dense, x), "float32")
        return ops.sum(ops.take_along_axis(logits, classes[:, None], axis=1))


def class_activation_maps(
    model: keras.Model, images: Any, classes: Any, method: str = "hirescam"
) -> np.ndarray:
    """The contribution of each position of an image to a class, by the feature map.

    For many batches, call `split_classifier` once.

    Args:
        model: from `create_model` with top, or a functional model built on ours that
            ends in global pooling and a `Dense` classifier.
        images: `(batch, height, width, channels)`, as the model takes them.
        classes: integers `(batch, n)`, or `(n,)` for every image.
        method: `"hirescam"` or `"gradcam"`; they differ only without average pooling.
            HiResCAM then shows only positions that the logit depends on.

    Returns:
        float32 `(batch, n, rows, columns)` in units of the logit; evidence against the
        class is 0.

    Raises:
        ValueError: another kind of model, no such class or method.
    """
    parts = split_classifier(model)
    return parts.maps(parts.features(images), classes, method)


def check_backend() -> None:
    """Refuses a backend without gradients.

    Raises:
        ValueError: Keras runs on such a backend.
    """
    require_backend("Class-activation maps need", "tensorflow", "jax", "torch")


def split_classifier(model: keras.Model) -> SplitClassifier:
    """Splits a classifier at its last feature map.

    Raises:
        ValueError: the model does not end in global pooling and a `Dense` classifier,
            or Keras's backend has no gradients.
    """
    check_backend()
    layers: list[_Layer] = []
    for layer, route in _layers_from_the_end(model, ()):
        layers.insert(0, layer)
        if isinstance(layer, _POOLINGS):
            return _parts(model, route, layers)
    raise _not_explainable(model, layers)


def _parts(model: keras.Model, route: _Route, layers: list[_Layer]) -> SplitClassifier:
    end = len(layers)
    while isinstance(layers[end - 1], heads.ACTIVATION_LAYERS):
        end -= 1
    *head, dense = layers[:end]
    if not isinstance(dense, keras.layers.Dense):
        raise _not_explainable(model, layers)
    (images, x), *inner = route
    for start, stop in inner:
        # A model consisting of only its input would be a cycle in Keras's graph.
        x = x if stop is start else keras.Model(start, stop)(x)
    # Our pixel layer checks the range of the first images, and warns.
    build = EfficientNet if isinstance(model, EfficientNet) else keras.Model
    return SplitClassifier(build(images, x), tuple(head), dense, tuple(layers[end:]))


def _not_explainable(model: keras.Model, layers: list[_Layer]) -> ValueError:
    found = ", ".join(type(layer).__name__ for layer in layers) or "no chain of layers"
    return InputError(
        "Class-activation maps need a model that ends in global pooling and a Dense "
        "classifier, one layer after the other, like those of create_model. Received: "
        f"{model.name!r}, whose end is: {found}."
    )


def _layers_from_the_end(
    model: keras.Model, before: _Route
) -> Generator[tuple[_Layer, _Route], None, bool]:
    """Layers of the model and of nested models, last first, while they are a chain.

    Each comes with the route from images to that layer's input. Returns whether the
    chain reaches the model's input.
    """
    if not _is_graph(model):
        return False
    (tensor,) = model.outputs
    while True:
        layer, sources = producer(tensor)
        if not sources:
            return True
        if len(sources) > 1 or not isinstance(layer, _Layer):
            return False
        tensor = sources[0]
        route = (*before, (model.inputs[0], tensor))
        if not _is_graph(layer):
            yield layer, route
        elif not (yield from _layers_from_the_end(layer, route)):
            return False


def _is_graph(layer: _Layer) -> bool:
    """Whether it is a functional or sequential model with one input and one output."""
    if not isinstance(layer, keras.Model):
        return False
    # Subclassed models, and sequential ones without shapes, have no graph.
    ends = (getattr(layer, "inputs", ()), getattr(layer, "outputs", ()))
    return all(len(tensors) == 1 for tensors in ends)


def _gradient(function: Callable[[Any], Any], x: Any) -> Any:
    """The gradient of a scalar function."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(function)(x)
    if keras.backend.backend() == "torch":
        import torch

        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x), x)[0]
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


def _checked_classes(classes: Any, batch: int, num_classes: int) -> np.ndarray:
    """Checks `classes`; returns integers `(batch, n)`."""
    found = np.atleast_1d(np.asarray(classes))
    if (
        found.dtype.kind not in "iu"
        or found.shape[:-1] not in ((), (batch,))
        or not found.size
        or not 0 <= found.min() <= found.max() < num_classes
    ):
        raise InputError(
            f"classes must be whole numbers from 0 to {num_classes - 1}, (n,) or "
            f"({batch}, n) of them. Received: {classes!r}."
        )
    return np.broadcast_to(found, (batch, found.shape[-1])).astype("int32")
