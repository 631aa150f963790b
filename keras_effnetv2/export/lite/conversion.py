"""Converts a classifier to LiteRT models."""

import dataclasses
import fnmatch
import functools
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.lite.metadata import parse, with_metadata
from keras_effnetv2.layers.gradients import stock_gradients
from keras_effnetv2.private_apis import with_integer_ends

FORMATS = ("float32", "float16", "dynamic", "int8")
IO_TYPES = ("float32", "uint8", "int8")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A conversion of a classifier.

    Attributes:
        classifier: the classifier.
        logits: whether to return `logits` besides `probabilities`.
        pixels: images to calibrate int8 on, float32 `(num, size, size, channels)`.
        input_type: type of the images in int8.
        output_type: type of the outputs in int8.
        float_layers: patterns of layers that int8 leaves in float.
    """

    classifier: Classifier
    logits: bool
    pixels: np.ndarray
    input_type: str
    output_type: str
    float_layers: tuple[str, ...]

    def convert(self, name: str) -> bytes:
        """A model in a format, by name, with metadata."""
        makers = {
            "float32": lambda: self.float32,
            "float16": self._float16,
            "dynamic": self._dynamic,
            "int8": self._int8,
        }
        return with_metadata(makers[name](), self.classifier)

    @functools.cached_property
    def float32(self) -> bytes:
        """The model in float32, without metadata."""
        return self._converter().convert()

    def float_operators(self) -> list[str]:
        """Operators of the layers that int8 leaves in float.

        Raises:
            ValueError: a pattern that matches no layer.
        """
        if not self.float_layers:
            return []
        return find_operators(self.float32, self.float_layers)

    def _float16(self) -> bytes:
        converter = self._converter(tf.lite.Optimize.DEFAULT)
        converter.target_spec.supported_types = [tf.float16]
        return converter.convert()

    def _dynamic(self) -> bytes:
        return self._converter(tf.lite.Optimize.DEFAULT).convert()

    def _int8(self) -> bytes:
        converter = self._converter(tf.lite.Optimize.DEFAULT)
        converter.representative_dataset = self._representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if self.float_layers:
            return self._partly_int8(converter)
        converter.inference_input_type = tf.as_dtype(self.input_type)
        converter.inference_output_type = tf.as_dtype(self.output_type)
        return converter.convert()

    def _partly_int8(self, converter: Any) -> bytes:
        names = self.float_operators()
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS)
        options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=names)
        with warnings.catch_warnings():  # About the move of its interpreter.
            warnings.simplefilter("ignore")
            debugger = tf.lite.experimental.QuantizationDebugger(
                converter=converter,
                debug_dataset=self._representative,
                debug_options=options,
            )
        contents = debugger.get_nondebug_quantized_model()
        types = tf.as_dtype(self.input_type), tf.as_dtype(self.output_type)
        try:
            return with_integer_ends(contents, *types)
        except ValueError as error:
            raise InputError(
                f"float_layers={self.float_layers} keep the model's input or output in "
                f"float. Received: input_type={self.input_type!r}, "
                f"output_type={self.output_type!r}. Use float32, or other layers."
            ) from error

    def _representative(self) -> Iterator[list[np.ndarray]]:
        for image in self.pixels:
            yield [image[None]]

    def _converter(self, *optimizations: tf.lite.Optimize) -> Any:
        module = tf.Module()
        # With these, the converter saves the module, and signatures keep their names.
        module.all_variables = [x.value for x in self.classifier.variables]
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [self._function], module
        )
        converter.optimizations = list(optimizations)
        return converter

    @functools.cached_property
    def _function(self) -> Any:
        classifier = self.classifier
        size = classifier.preprocessing.image_size
        shape = (1, size, size, classifier.input_shape[-1])
        spec = tf.TensorSpec(shape, tf.float32, name="images")

        def scores(images: tf.Tensor) -> dict[str, tf.Tensor]:
            features = classifier.network(images, training=False)["features"]
            with tf.name_scope(classifier.head.name):  # So that patterns find it.
                logits = classifier.logits(features)
            outputs = {"probabilities": classifier.activated(logits)}
            return outputs | ({"logits": logits} if self.logits else {})

        function = tf.function(scores, input_signature=[spec], autograph=False)
        with stock_gradients():
            return function.get_concrete_function()


def find_operators(contents: bytes, patterns: tuple[str, ...]) -> list[str]:
    """Names of the operators of some layers in a LiteRT model.

    Args:
        contents: the model.
        patterns: patterns of layers, such as `block6a`, `se` or `block6a/dwconv2`.

    Raises:
        ValueError: a pattern that matches no layer.
    """
    graph = parse(contents).subgraphs[0]
    outputs = [graph.tensors[x.outputs[0]].name.decode() for x in graph.operators]
    layers = {name: _layers(name) for name in outputs}
    found = []
    for pattern in patterns:
        fitting = [x for x in outputs if fnmatch.filter(layers[x], pattern)]
        if not fitting:
            names = {x for names in layers.values() for x in names if "/" not in x}
            # Without those of second calls, which match the names of the first ones.
            known = sorted(x for x in names if re.sub(r"_\d+$", "", x) == x)
            raise InputError(
                f"float_layers: no layer is called {pattern!r}. Expected patterns of "
                f"these names, or of two such as block4a/se: {', '.join(known)}."
            )
        found += fitting
    return list(dict.fromkeys(found))


def _layers(operator: str) -> set[str]:
    """Layers of an operator: `block6a/se`, ... for `net/block6a_1/se_1/Mean`."""
    parts = operator.partition(";")[0].split("/")[:-1]
    # Layers that are called more than once get numbers.
    plain = [re.sub(r"_\d+$", "", part) for part in parts]
    return {
        "/".join(names[first:last])
        for names in (parts, plain)
        for first in range(len(names))
        for last in range(first + 1, len(names) + 1)
    }
