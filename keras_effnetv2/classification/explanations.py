"""Heat maps on whole photographs, for what a network sees in a crop of them."""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

from keras_effnetv2.classification.engines.keras_models import KerasEngine
from keras_effnetv2.classification.predictions import (
    ClassName,
    ClassScore,
    Prediction,
)
from keras_effnetv2.data.decoding import cropping
from keras_effnetv2.data.printable import printable
from keras_effnetv2.explanation import activation_maps, heat_maps

# Maximum side of photographs when drawn, pixels.
_MAX_SIDE = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """Where in a photograph a network sees classes.

    Attributes:
        prediction: prediction for the photograph.
        classes: classes that are explained.
        image: uint8 `(height, width, 3)`: the photograph, upright, shrunk to at most
            1,000 pixels.
        window: top, left, height and width of what the network sees, in pixels of
            `image`; a crop with padding around the photograph starts outside it.
        maps: float32 `(classes, rows, columns)` over the window, in units of the logit.
        image_size: side that the window was resized to, pixels.
    """

    prediction: Prediction
    classes: tuple[ClassScore, ...]
    image: np.ndarray
    window: tuple[float, float, float, float]
    maps: np.ndarray
    image_size: int

    @property
    def heat(self) -> np.ndarray:
        """The maps on the photograph, float32 `(classes, height, width)`; 0 outside."""
        shape = self.image.shape[:2]
        return np.stack([heat_maps.stretched(x, shape, self.window) for x in self.maps])

    def save(self, path: str | os.PathLike) -> None:
        """Writes a PNG: the photograph, and next to it the heat map of each class.

        Args:
            path: the PNG; an older one is replaced atomically.

        Raises:
            ImportError: matplotlib is missing.
        """
        source = self.prediction.source
        name = "image" if source is None else printable(source.name)
        titles = [f"{name}\n{self.image_size} px"]
        titles += [f"{x.name.replace('_', ' ')}\n{x.score:.4f}" for x in self.classes]
        heat_maps.draw_heat_maps(self.image, self.maps, titles, path, self.window)

    def _repr_png_(self) -> bytes:
        """The picture that `save` writes, which notebooks show."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "explanation.png")
            self.save(path)
            return path.read_bytes()


class Explainer:
    """Explains what a model sees.

    Args:
        engine: engine of the model.
        class_names: names of its classes.

    Raises:
        ValueError: the model does not end in pooling and a dense classifier.
    """

    def __init__(self, engine: KerasEngine, class_names: Sequence[ClassName]) -> None:
        self._engine = engine
        self._names = tuple(class_names)
        self._parts = activation_maps.split_classifier(engine.model)

    def __call__(
        self,
        pixels: np.ndarray,
        source: pathlib.Path | None,
        classes: Sequence[int] | None,
        top: int,
        method: str,
    ) -> Explanation:
        """The explanation of pixels `(height, width, 3)`, 0..255.

        Args:
            pixels: pixels of the photograph.
            source: its file, if it is from one.
            classes: numbers of classes; None: the best.
            top: how many of the best.
            method: one of `activation_maps.METHODS`.
        """
        record = self._engine.record
        crop = cropping.evaluation_image(pixels, record).numpy()[None]
        inputs = self._engine.network_inputs(crop)
        # `predict` would make a dataset of every image.
        features = self._parts.extractor.predict_on_batch(inputs)
        (scores,) = self._parts.scores(features)
        prediction = Prediction(source, scores, self._names)
        if classes is None:
            classes = [x.index for x in prediction.top(top)]
        (maps,) = self._parts.maps(features, classes, method)
        explained = (
            ClassScore(i, self._names[i].name, float(scores[i])) for i in classes
        )
        image = _shrunk(np.clip(pixels, 0, 255).astype("uint8"))
        height, width = pixels.shape[:2]
        window = cropping.evaluation_window(height, width, record)
        down, across = image.shape[0] / height, image.shape[1] / width
        return Explanation(
            prediction,
            tuple(explained),
            image,
            (
                window[0] * down,
                window[1] * across,
                window[2] * down,
                window[3] * across,
            ),
            maps,
            record.image_size,
        )


def _shrunk(image: np.ndarray) -> np.ndarray:
    """The image, no side longer than a thousand pixels."""
    if max(image.shape[:2]) <= _MAX_SIDE:
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)
