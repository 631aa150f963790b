"""`Classifier`: classifies images from any kind of input."""

import dataclasses
import functools
import itertools
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_effnetv2.classification import inputs as given
from keras_effnetv2.classification.choices import BATCH_SIZE
from keras_effnetv2.classification.engines.keras_models import KerasEngine
from keras_effnetv2.classification.explanations import Explainer, Explanation
from keras_effnetv2.classification.model_opening import open_engine
from keras_effnetv2.classification.predictions import (
    ClassName,
    Prediction,
    class_names,
)
from keras_effnetv2.classification.preparation import Preparation, decoded, prepared
from keras_effnetv2.errors import InputError
from keras_effnetv2.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """The network's output for one image, or an error.

    Attributes:
        name: name of the image, for messages: its path, if it is from a file.
        source: the file of the image, if it is from one.
        values: float32 `(classes,)` or `(channels,)`; None for an unreadable image.
        error: why it could not be read.
    """

    name: str
    source: pathlib.Path | None
    values: np.ndarray | None
    error: Exception | None


class Classifier:
    """Classifies images: files, folders, bytes, Pillow images, arrays, and many.

        classify = Classifier("efficientnetv2-s")
        classify("photograph.jpg").name
        for prediction in classify.stream("photographs"):
            print(prediction)

    An image is the path of a file, its bytes, a Pillow image, or an array or tensor
    `(height, width)` or `(height, width, 1, 3 or 4)` of pixels 0..255. Several images
    are a folder, including its subfolders, an array `(batch, height, width, channels)`,
    or a list or iterator of any of these. Each image is turned upright, cropped and
    resized as in the model's evaluation. Files and bytes are decoded in threads, while
    the network works on earlier images.

    A single image that cannot be used is an error. Among several, its result has the
    `error`, and the others are not affected.

    Args:
        model: a name of `list_variants()`, a `.keras` file, the work folder of a
            training run, a folder or file that `export` wrote (SavedModel, TF Hub, TF
            Serving, `.tflite`, `.onnx`), `"hf://USER/REPO"`, or a Keras model that has
            the pixel layer of this package.
        weights: for a variant's name or file, as for `create_model`. None: the released
            ones for ImageNet.
        checkpoint: for a work folder: `"best"` or `"last"`. None: as in `load_run`.
        batch_size: images per batch.
        image_size: image side, pixels. None: the model's evaluation size.

    Raises:
        ValueError: there is no such model, or it is not a classifier of RGB images.
        ConnectionError: the weights could not be downloaded.
        ImportError: the engine of this kind of model is not installed.
    """

    def __init__(
        self,
        model: str | os.PathLike | keras.Model,
        weights: str | os.PathLike | None = None,
        *,
        checkpoint: str | None = None,
        batch_size: int = BATCH_SIZE,
        image_size: int | None = None,
    ) -> None:
        for name, value in {"batch_size": batch_size, "image_size": image_size}.items():
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1. Received: {value}.")
        self.engine = open_engine(model, weights, checkpoint, image_size)
        self.batch_size = batch_size
        self._prepare = Preparation(self.engine.record)
        self.class_names = class_names(
            self.engine.record.labels, self.engine.num_classes
        )

    def __repr__(self) -> str:
        size = self.preprocessing.image_size
        return (
            f"Classifier({self.engine.name!r}: {len(self.class_names):,} classes, "
            f"{size}x{size} pixels)"
        )

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of images for the network."""
        return self.engine.record

    @property
    def model(self) -> keras.Model | None:
        """The Keras model; None for an export."""
        return self.engine.model if isinstance(self.engine, KerasEngine) else None

    def fold(self) -> None:
        """Makes later calls about a quarter faster.

        Batch norms are folded into the convolutions, and the weights at the next call
        become constants: later changes of the model have no effect. Results agree
        except for rounding. It takes a second or more. A classifier that opened the
        model itself does this from the start; exports are folded already.
        """
        if isinstance(self.engine, KerasEngine):
            self.engine.compile()

    @functools.cached_property
    def num_features(self) -> int:
        """Channels of `features`.

        Raises:
            ValueError: the model does not provide features.
        """
        size = self.preprocessing.image_size
        black = np.zeros((1, size, size, 3), "float32")
        return self.engine.features(black).shape[1]

    def __call__(self, inputs: Any) -> Prediction | list[Prediction]:
        """The prediction for one image, or a list of those for many, in order.

        Args:
            inputs: an image or several; for endless inputs, use `stream`.

        Raises:
            ValueError: a single image cannot be used; among several, the result has the
                error.
            OSError: the file of a single image cannot be read.
        """
        if given.is_single(inputs):
            (row,) = self.rows(inputs, "scores")
            if row.error is not None:
                raise row.error
            return self._prediction(row)
        return list(self.stream(inputs))

    def stream(self, inputs: Any) -> Iterator[Prediction]:
        """Yields predictions as the network makes them.

        Memory stays constant. Images are taken from `inputs` two batches ahead.

        Args:
            inputs: an image or several, perhaps endless.
        """
        for row in self.rows(inputs, "scores"):
            yield self._prediction(row)

    def scores(self, inputs: Any) -> np.ndarray:
        """The network's outputs for all classes, usually probabilities.

        Args:
            inputs: an image or several.

        Returns:
            float32 `(classes,)` for one image, `(images, classes)` for several.

        Raises:
            ValueError: an image that cannot be used, or no image.
            OSError: a file cannot be read.
        """
        return self._array(inputs, "scores")

    def features(self, inputs: Any) -> np.ndarray:
        """The input of the network's classifier: pooled features.

        Args:
            inputs: an image or several.

        Returns:
            float32 `(channels,)` for one image, `(images, channels)` for several.

        Raises:
            ValueError: an image that cannot be used, no image, or a model that does not
                provide features.
            OSError: a file cannot be read.
        """
        return self._array(inputs, "features")

    def explain(
        self,
        image: Any,
        classes: Sequence[int | str] | None = None,
        top: int = 3,
        method: str = "hirescam",
    ) -> Explanation:
        """Where in an image the network sees its classes.

        Args:
            image: one image.
            classes: classes to explain, by number or name. None: the best.
            top: how many of the best.
            method: `"hirescam"` or `"gradcam"`; see `class_activation_maps`.

        Raises:
            ValueError: not a single image, no such class, or a model without a pooled
                feature map, such as an export.
            OSError: its file cannot be read.
        """
        if not given.is_single(image):
            raise InputError("explain takes one image. For many, call it for each.")
        (item,) = given.items(image)
        pixels = decoded(item.read(), item.name)
        wanted = None if classes is None else [self._class(x) for x in classes]
        return self._explainer(pixels, item.source, wanted, top, method)

    def check_explainable(self) -> None:
        """Checks that `explain` can be called.

        Raises:
            ValueError: the model is an export, or cannot be explained.
        """
        _ = self._explainer

    def rows(self, inputs: Any, output: str) -> Iterator[Row]:
        """Yields the network's outputs for images, in order.

        Args:
            inputs: an image or several, perhaps endless.
            output: `"scores"` or `"features"`.
        """
        compute = getattr(self.engine, output)
        images = prepared(given.items(inputs), self._prepare, 2 * self.batch_size)
        while batch := list(itertools.islice(images, self.batch_size)):
            readable = [pixels for _, pixels, _ in batch if pixels is not None]
            values = iter(self._computed(compute, readable) if readable else ())
            for item, pixels, error in batch:
                value = None if pixels is None else next(values)
                yield Row(item.name, item.source, value, error)

    def _computed(
        self, compute: Callable[[np.ndarray], np.ndarray], images: list[np.ndarray]
    ) -> np.ndarray:
        # Every shape needs a graph, so use few shapes: powers of two, padded.
        size = min(self.batch_size, 2 ** math.ceil(math.log2(len(images))))
        missing = max(size - len(images), 0)
        found = compute(np.stack(images + [images[-1]] * missing))[: len(images)]
        return np.asarray(found, "float32")  # Features may have half precision.

    def _array(self, inputs: Any, output: str) -> np.ndarray:
        found = []
        for row in self.rows(inputs, output):
            if row.error is not None:
                raise row.error
            found.append(row.values)
        if not found:
            raise InputError(f"There is no image to compute {output} of.")
        return found[0] if given.is_single(inputs) else np.stack(found)

    def _prediction(self, row: Row) -> Prediction:
        return Prediction(row.source, row.values, self.class_names, row.error)

    def _class(self, wanted: int | str) -> int:
        """The number of a class, given by number or name."""
        names: Sequence[ClassName] = self.class_names
        if not isinstance(wanted, str):
            return wanted
        found = [i for i, x in enumerate(names) if wanted in (x.name, x.wordnet_id)]
        if len(found) != 1:
            problem = "no class" if not found else f"{len(found)} classes"
            raise InputError(
                f"There is {problem} called {wanted!r}. Pass the number of a class, "
                f"0..{len(names) - 1}."
            )
        return found[0]

    @functools.cached_property
    def _explainer(self) -> Explainer:
        if not isinstance(self.engine, KerasEngine):
            raise InputError(
                f"{self.engine.name!r} is an export, which has no gradients. For "
                "explanations, pass the model that it was exported from."
            )
        return Explainer(self.engine, self.class_names)
