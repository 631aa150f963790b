"""`Classifier`: what a network sees in images, however they come."""

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
    """What a network gives for one image, or why there is nothing.

    Attributes:
        name: of the image, for messages: its path, if it is from a file.
        source: the file that the image is from, if it is from one.
        values: float32 `(classes,)` or `(channels,)`; None of an unreadable image.
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

    An image is the path of a file, the bytes of one, a Pillow image, or an array or
    tensor `(height, width)`, `(height, width, 1, 3 or 4)` of pixels 0..255. Many are a
    folder, with the folders in it, an array `(batch, height, width, channels)`, or a
    list or iterator of all these. Each is turned upright, cropped and resized as the
    model was evaluated. Files and bytes are decoded in threads, while the network works
    on the images before.

    One image that cannot be used is an error. Of many it is a result that has the
    `error`, and the others have theirs.

    Args:
        model: what runs: a name of `list_variants()`, a `.keras` file, the work folder
            of a training, a folder or file that `export` wrote (SavedModel, TF Hub, TF
            Serving, `.tflite`, `.onnx`), `"hf://USER/REPO"`, or a Keras model that has
            the pixel layer of this package.
        weights: for a variant's name or file: as `create_model` takes them. None: the
            released ones, of ImageNet.
        checkpoint: of a work folder: `"best"` or `"last"`. None: as `load_run`.
        batch_size: images that the network is given at a time.
        image_size: image side, pixels. None: that of the model's evaluation.

    Raises:
        ValueError: there is no such model, or it is no classifier of RGB images.
        ConnectionError: weights that could not be fetched.
        ImportError: what runs this kind of model is not installed.
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
        """How images become what the network takes."""
        return self.engine.record

    @property
    def model(self) -> keras.Model | None:
        """The Keras model; None of an export."""
        return self.engine.model if isinstance(self.engine, KerasEngine) else None

    def fold(self) -> None:
        """Makes a classifier of a Keras model faster, by a quarter.

        Batch norms go into the convolutions, and weights become constants, as they are
        at the next image: what is changed in the model later does not count. Results
        agree but for rounding. It takes a second or more. Classifiers that have opened
        their model themselves do so from the start, and exports are folded already.
        """
        if isinstance(self.engine, KerasEngine):
            self.engine.compile()

    @functools.cached_property
    def num_features(self) -> int:
        """Channels of `features`.

        Raises:
            ValueError: the model does not give its features.
        """
        size = self.preprocessing.image_size
        black = np.zeros((1, size, size, 3), "float32")
        return self.engine.features(black).shape[1]

    def __call__(self, inputs: Any) -> Prediction | list[Prediction]:
        """The prediction for one image, or a list of those for many, in order.

        Args:
            inputs: an image or many; of what never ends, use `stream`.

        Raises:
            ValueError: one image that cannot be used; of many it is in the result.
            OSError: the file of one image cannot be read.
        """
        if given.is_single(inputs):
            (row,) = self.rows(inputs, "scores")
            if row.error is not None:
                raise row.error
            return self._prediction(row)
        return list(self.stream(inputs))

    def stream(self, inputs: Any) -> Iterator[Prediction]:
        """Predictions one after the other, as the network makes them.

        Memory does not grow. The images come from `inputs` two batches ahead.

        Args:
            inputs: an image or many, also without end.
        """
        for row in self.rows(inputs, "scores"):
            yield self._prediction(row)

    def scores(self, inputs: Any) -> np.ndarray:
        """What the network gives every class: probabilities, mostly.

        Args:
            inputs: an image or many.

        Returns:
            float32 `(classes,)` of one image, `(images, classes)` of many.

        Raises:
            ValueError: an image that cannot be used, or no image.
            OSError: a file that cannot be read.
        """
        return self._array(inputs, "scores")

    def features(self, inputs: Any) -> np.ndarray:
        """What the network's classifier takes: pooled features.

        Args:
            inputs: an image or many.

        Returns:
            float32 `(channels,)` of one image, `(images, channels)` of many.

        Raises:
            ValueError: an image that cannot be used, no image, or a model that does
                not give its features.
            OSError: a file that cannot be read.
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
            classes: which, by number or name. None: the best.
            top: how many of the best.
            method: `"hirescam"` or `"gradcam"`; see `class_activation_maps`.

        Raises:
            ValueError: not one image, no such class, or a model without a feature map
                that is pooled, as exports are.
            OSError: its file cannot be read.
        """
        if not given.is_single(image):
            raise InputError("explain takes one image. For many, call it for each.")
        (item,) = given.items(image)
        pixels = decoded(item.read(), item.name)
        wanted = None if classes is None else [self._class(x) for x in classes]
        return self._explainer(pixels, item.source, wanted, top, method)

    def check_explainable(self) -> None:
        """Does nothing if `explain` can be called.

        Raises:
            ValueError: it is of an export, or of a model that cannot be explained.
        """
        _ = self._explainer

    def rows(self, inputs: Any, output: str) -> Iterator[Row]:
        """What the network gives for images one after the other.

        Args:
            inputs: an image or many, also without end.
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
        # Of each shape a graph is made, so there are few: powers of two, padded.
        size = min(self.batch_size, 2 ** math.ceil(math.log2(len(images))))
        missing = max(size - len(images), 0)
        found = compute(np.stack(images + [images[-1]] * missing))[: len(images)]
        return np.asarray(found, "float32")  # Features may be of half precision.

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
        """The number of a class that is given by number or name."""
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
                f"{self.engine.name!r} is an export, which gives no gradients. For "
                "explanations, name the model that it was exported from."
            )
        return Explainer(self.engine, self.class_names)
